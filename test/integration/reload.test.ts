import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const applied = /"event":"config_reloaded"/;
const refused = /"event":"config_refused"/;

let file: string;
let first: FixtureUpstream;
let second: FixtureUpstream;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-reload-"));
  file = join(folder, "sluice.toml");
  first = await startFixtureUpstream();
  second = await startFixtureUpstream();
  return async () => {
    await Promise.all([first.close(), second.close()]);
    await rm(folder, { recursive: true });
  };
});

async function startSluice(text: string): Promise<RunningSluice> {
  writeFileSync(file, text);
  const sluice = await startSluiceProcess({ upstream: "off", args: ["--config", file] });
  onTestFinished(() => void sluice.stop());
  return sluice;
}

function change(sluice: RunningSluice, text: string): void {
  writeFileSync(file, text);
  process.kill(sluice.pid, "SIGHUP");
}

const chainOf = (upstream: FixtureUpstream): string => `[upstream]\nchain = "${upstream.url}"\n`;

test("another chain counts from SIGHUP on, and what is stored stays", async () => {
  const sluice = await startSluice(chainOf(first));
  await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.mod`);
  change(sluice, chainOf(second));
  await sluice.saw(applied);
  const stored = await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.mod`);
  const fetched = await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.zip`);
  expect([stored.status, stored.headers.get("x-sluice-cache")]).toStrictEqual([200, "hit"]);
  expect([fetched.status, fetched.headers.get("x-sluice-cache")]).toStrictEqual([200, "miss"]);
  expect(first.requestsFor(/\.zip$/)).toHaveLength(0);
  expect(second.requestsFor(/\.zip$/)).toHaveLength(1);
});

test.each([
  ["no TOML", 'chain = "', /sluice\.toml:1: this is not TOML/],
  ["an unknown key", "[upstream]\nchian = 'off'\n", /\[upstream\] has no chian; did you mean chain\?/],
  ["a value that is none", '[freshness]\nttl = "soon"\n', /ttl = .*is not a duration/],
])("%s is refused with its reason, and the old configuration counts until it is right", async (_name, text, why) => {
  const sluice = await startSluice(chainOf(first));
  change(sluice, text);
  await sluice.saw(refused);
  expect(sluice.output()).toMatch(why);
  const answer = await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.info`);
  expect(answer.status).toBe(200);
  expect(await (await fetch(`${sluice.url}/metrics`)).text()).toContain(
    'sluice_config_reloads_total{outcome="refused"} 1\n',
  );
  change(sluice, chainOf(second));
  await sluice.saw(applied);
});

test("what takes a restart is told by its name and keeps its value", async () => {
  const sluice = await startSluice(chainOf(first));
  change(sluice, `${chainOf(second)}[server]\nlisten = ":1"\n[store]\ndata_dir = "elsewhere"\nmemory = "1MiB"\n`);
  await sluice.saw(applied);
  // Its environment and flags come before the file.
  expect(sluice.output()).toContain('"needRestart":["store.memory"]');
  expect((await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.info`)).status).toBe(200);
  expect(second.requestsFor(/\.info$/)).toHaveLength(1);
});

test("an operator may ask for it, and is told what came of it", async () => {
  const sluice = await startSluice(chainOf(first));
  const reload = (): ReturnType<typeof runCli> =>
    runCli(["reload", "--url", sluice.url], { cwd: sluice.dataDir, env: { SLUICE_DATA_DIR: sluice.dataDir } });
  writeFileSync(file, `${chainOf(second)}[store]\nmemory = "1MiB"\n`);
  expect(await reload()).toStrictEqual({
    code: 0,
    stdout:
      "The configuration was read again and counts now.\nChanged, but as they were until the next start: store.memory.\n",
    stderr: "",
  });
  await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.info`);
  expect(second.requestsFor(/\.info$/)).toHaveLength(1);

  writeFileSync(file, "[upstream]\nchian = 'off'\n");
  const refusal = await reload();
  expect(refusal).toMatchObject({ code: 2, stdout: "" });
  expect(refusal.stderr).toMatch(
    /the configuration is refused, and the one before still counts: .*did you mean chain\?/s,
  );
  expect((await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.zip`)).status).toBe(200);
});

test("with watch_config the file need only change", async () => {
  const sluice = await startSluice(`${chainOf(first)}[server]\nwatch_config = true\n`);
  writeFileSync(file, `${chainOf(second)}[server]\nwatch_config = true\n`);
  await sluice.saw(applied);
  await fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.info`);
  expect(second.requestsFor(/\.info$/)).toHaveLength(1);
});

test("a fetch that was under way ends as it began", async () => {
  const sluice = await startSluice(chainOf(first));
  const gate = Promise.withResolvers<void>();
  first.setFault(/\.zip$/, { kind: "delay", until: gate.promise });
  const underWay = fetch(`${sluice.url}/example.com/leaf/@v/v1.0.0.zip`);
  await first.arrived(/\.zip$/);
  change(sluice, chainOf(second));
  await sluice.saw(applied);
  gate.resolve();
  const answer = await underWay;
  expect(answer.status).toBe(200);
  expect(Buffer.from(await answer.arrayBuffer())).toStrictEqual(
    Buffer.from(fixtureFiles().get("example.com/leaf/@v/v1.0.0.zip") ?? []),
  );
  expect(second.requestsFor(/\.zip$/)).toHaveLength(0);
});

test("clients notice nothing of many reloads", async () => {
  const sluice = await startSluice(`${chainOf(first)}[freshness]\nttl = "0s"\n`);
  const paths = [...fixtureFiles().keys()];
  const statuses = new Set<number>();
  const over = new AbortController();
  const client = async (start: number): Promise<void> => {
    for (let at = start; !over.signal.aborted; at += 1) {
      const response = await fetch(`${sluice.url}/${paths[at % paths.length]}`);
      await response.arrayBuffer();
      statuses.add(response.status);
    }
  };
  const clients = [0, 7, 19, 40].map(client);
  for (let round = 1; round <= 10; round += 1) {
    change(sluice, `${chainOf(round % 2 === 0 ? first : second)}[freshness]\nttl = "0s"\n`);
    await sluice.saw(applied, round);
  }
  over.abort();
  await Promise.all(clients);
  expect(statuses).toStrictEqual(new Set([200]));
});
