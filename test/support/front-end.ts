import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { closedPort } from "./loopback.ts";
import { waitFor } from "./wait-for.ts";

const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));

/** A load balancer of `deploy/`, in front of Sluices at these addresses (`127.0.0.1:1234`). */
export interface FrontEnd {
  readonly url: string;
  stop(): Promise<void>;
}

export interface FrontEndProgram {
  readonly name: string;
  readonly program: string;
  /** With which it says its version. */
  readonly versionArgs: readonly string[];
  readonly start: (nodes: readonly string[], edit?: (text: string) => string) => Promise<FrontEnd>;
}

export const frontEnds: readonly FrontEndProgram[] = [
  {
    name: "nginx",
    program: "nginx",
    versionArgs: ["-v"],
    start: (nodes, edit = (text) => text) =>
      start(nodes, async ({ folder, port }) => {
        const text = edit(await readFile(path.join(deploy, "nginx.conf"), "utf8"))
          .replace(
            /worker_processes auto;/,
            "worker_processes 2; pid nginx.pid; daemon off; error_log error.log notice;",
          )
          .replace(/listen 8080/, `listen 127.0.0.1:${port}`)
          .replace(/\/var\/cache\/nginx\/sluice/, path.join(folder, "cache"));
        const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        const own = temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(" ");
        await writeFile(path.join(folder, "nginx.conf"), withNodes(text, nodes).replace(/http \{/, `http { ${own}`));
        return spawn("nginx", ["-p", folder, "-e", "error.log", "-c", "nginx.conf"], {
          stdio: ["ignore", "ignore", "pipe"],
        });
      }),
  },
  {
    name: "HAProxy",
    program: "haproxy",
    versionArgs: ["-v"],
    start: (nodes, edit = (text) => text) =>
      start(nodes, async ({ folder, port }) => {
        const text = edit(await readFile(path.join(deploy, "haproxy.cfg"), "utf8")).replace(
          /bind :8080/,
          `bind 127.0.0.1:${port}`,
        );
        const file = path.join(folder, "haproxy.cfg");
        await writeFile(file, withNodes(text, nodes));
        return spawn("haproxy", ["-db", "-f", file], { stdio: ["ignore", "ignore", "pipe"] });
      }),
  },
];

function withNodes(text: string, nodes: readonly string[]): string {
  return nodes.reduce((sum, node, index) => {
    const name = `sluice-${index + 1}:3000`;
    if (!sum.includes(name)) throw new Error(`the configuration in deploy/ has no ${name}`);
    return sum.replaceAll(name, node);
  }, text);
}

async function start(
  nodes: readonly string[],
  spawnIn: (place: { readonly folder: string; readonly port: number }) => Promise<ChildProcess>,
): Promise<FrontEnd> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-front-"));
  // nginx gives its workers another user when it is started by root.
  await chmod(folder, 0o755);
  await mkdir(path.join(folder, "cache"));
  const port = await closedPort();
  const child = await spawnIn({ folder, port });
  let said = "";
  child.stderr?.on("data", (data: Buffer) => (said += data.toString()));
  const url = `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${said}`);
        const answer = await fetch(`${url}/healthz`);
        if (!answer.ok) throw new Error(`it answers ${answer.status}`);
      },
      { timeout: 20_000, interval: 50 },
    );
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
