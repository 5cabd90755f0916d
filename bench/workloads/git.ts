import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { startGitServer } from "../../test/support/git-server.ts";
import { clientFolder, removeFolder, temporaryFolder } from "../folders.ts";
import { big, gitRepositories, monorepo, owner } from "../git-repositories.ts";
import { goEnvironment } from "../go-client.ts";
import { loadCore, serverCore } from "../machine.ts";
import { type Measurement, Row, takeTurns } from "../measurement.ts";
import { startSluice } from "../peers/sluice.ts";
import type { Bench, Workload } from "./workload.ts";

/** Rows that begin with what the one before them left. */
interface Series {
  /** Of another repository, before them and not in the figures: a server has served others before, and its code has run. */
  readonly warmUp: (clients: Clients) => Promise<unknown>;
  readonly rows: readonly {
    readonly name: string;
    readonly title: string;
    /** Of the time that `GOPROXY=direct` takes. */
    readonly aim: number;
    /** Answers how many seconds it took. */
    readonly run: (clients: Clients) => Promise<number>;
  }[];
}

/**
 * Before each row, for all alike: a server has been up for a while when somebody asks, and a project does not move on to the next
 * version in the same second. What Sluice does meanwhile, which is to fetch ahead, is not in the figures.
 */
const pauseMs = 1_000;

/** What go alone has, go and Sluice share. Git, the zips and go's own work are spread over both, and nobody measures a server's throughput. */
const cores = [serverCore, loadCore];

/** A go command with a module cache of its own, by its name; a new one begins with nothing. */
type Clients = (name: string) => Go;
type Go = (args: readonly string[], goMod?: string) => Promise<number>;

const series: readonly Series[] = [
  {
    warmUp: (client) => client("other")(["mod", "download"], goModOf(monorepo.together)),
    rows: [
      {
        name: "git-first",
        title: "first version of a repository with 2000 commits, `go mod download`",
        aim: 1,
        run: (client) => client("one")(["mod", "download", `${big.modulePath}@${big.first}`]),
      },
      {
        name: "git-second",
        title: "its second version, by the same go command",
        aim: 0.5,
        run: (client) => client("one")(["mod", "download", `${big.modulePath}@${big.second}`]),
      },
      {
        name: "git-list",
        title: "its `go list -m -versions`, by a go command that has nothing",
        aim: 0.5,
        run: (client) => client("another")(["list", "-m", "-versions", big.modulePath]),
      },
    ],
  },
  monorepoSeries("git-monorepo", "released together", monorepo.together),
  monorepoSeries("git-monorepo-apart", "released one by one", monorepo.apart),
];

/**
 * Modules from git, over one loopback git server: the go command alone (`GOPROXY=direct`), which keeps clones in its module cache,
 * and with a Sluice in between that has nothing of them yet.
 */
export const git: Workload = {
  names: series.flatMap(({ rows }) => rows).map(({ name }) => name),
  async run(bench) {
    const server = await startGitServer({ root: await gitRepositories() });
    try {
      const measurements: Measurement[] = [];
      for (const each of series) {
        const isWanted = each.rows.some(({ name }) => bench.wants(name));
        if (isWanted) measurements.push(...(await measure(each, server.url, bench)));
      }
      return measurements;
    } finally {
      await server.close();
    }
  },
};

async function measure({ rows, warmUp }: Series, gitUrl: string, bench: Bench): Promise<Measurement[]> {
  const results = rows.map(
    ({ name, title, aim }) =>
      new Row({ workload: name, title, unit: "s", aims: [{ is: "at most", factor: aim, of: "direct" }] }),
  );
  const contestants = bench.options.sluiceOnly ? (["sluice"] as const) : (["direct", "sluice"] as const);
  await takeTurns(bench.options.rounds, contestants, async (contestant, round) => {
    await (contestant === "direct" ? withDirect : withSluice)(gitUrl, async (clients) => {
      await warmUp(clients);
      for (const [index, { name, run }] of rows.entries()) {
        await delay(pauseMs);
        const seconds = await run(clients);
        results[index]?.add(contestant, seconds);
        bench.progress(`${name}, round ${round + 1}: ${contestant} ${seconds.toFixed(2)} s`);
      }
    });
  });
  return results.map((row) => row.measurement());
}

type Work = (clients: Clients) => Promise<void>;

async function withDirect(gitUrl: string, work: Work): Promise<void> {
  const folder = temporaryFolder("direct");
  const config = path.join(folder, "gitconfig");
  writeFileSync(config, `[url "${gitUrl}/"]\n\tinsteadOf = https://${owner}/\n`);
  const env = { GOPROXY: "direct", GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: config };
  await withClients(env, work);
  removeFolder(folder);
}

async function withSluice(gitUrl: string, work: Work): Promise<void> {
  const folder = temporaryFolder("sluice");
  const rule = `[{ pattern = "${owner}/*", url = "${gitUrl}/{rest}.git" }]`;
  const sluice = await startSluice(folder, { GOPROXY: "off", SLUICE_PRIVATE: rule }, cores);
  try {
    await withClients({ GOPROXY: sluice.url.href }, work);
  } finally {
    await sluice.stop();
    removeFolder(folder);
  }
}

async function withClients(env: Readonly<Record<string, string>>, work: Work): Promise<void> {
  const root = clientFolder();
  const client = (name: string): Go => {
    const folder = path.join(root, name);
    mkdirSync(folder, { recursive: true });
    return async (args, goMod) => {
      if (goMod !== undefined) writeFileSync(path.join(folder, "go.mod"), goMod);
      const begin = performance.now();
      await promisify(execFile)("taskset", ["-c", cores.join(","), "go", ...args], {
        cwd: folder,
        env: { ...process.env, ...goEnvironment(folder), HOME: folder, ...env },
      });
      return (performance.now() - begin) / 1000;
    };
  };
  try {
    await work(client);
  } finally {
    removeFolder(root);
  }
}

function monorepoSeries(name: string, how: string, version: string): Series {
  return {
    warmUp: (client) => client("other")(["mod", "download", `${big.modulePath}@${big.first}`]),
    rows: [
      {
        name,
        title: `\`go mod download\` of ${monorepo.modules.length} modules in one repository, ${how}`,
        aim: 0.25,
        run: (client) => client("project")(["mod", "download"], goModOf(version)),
      },
    ],
  };
}

function goModOf(version: string): string {
  const requires = monorepo.modules.map((modulePath) => `\t${modulePath} ${version}\n`).join("");
  return `module bench\n\ngo 1.21\n\nrequire (\n${requires})\n`;
}
