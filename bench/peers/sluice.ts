import path from "node:path";
import { freePort, startServer } from "../server-process.ts";
import type { Peer, RunningPeer } from "./peer.ts";

const program = path.join(import.meta.dirname, "../../src/cli/main.ts");

/** Sluice as `npm start` runs it: every default, logs and metrics on. */
export const sluice: Peer = {
  name: "sluice",
  isProxy: true,
  prepare: async () => undefined,
  start: ({ folder, upstream, log }) => startSluice(folder, { GOPROXY: upstream, GOSUMDB: log?.verifierKey ?? "off" }),
};

/** With these further settings. Without `GOSUMDB` no checksum database is asked. */
export async function startSluice(
  folder: string,
  env: Readonly<Record<string, string>>,
  cores?: readonly number[],
): Promise<RunningPeer> {
  const url = new URL(`http://127.0.0.1:${await freePort()}`);
  const server = await startServer({
    command: [process.execPath, program, "serve"],
    env: { GOSUMDB: "off", SLUICE_LISTEN: url.host, SLUICE_DATA_DIR: path.join(folder, "data"), ...env },
    folder,
    cores,
    probe: new URL("/readyz", url),
  });
  return { name: "sluice", url, ...server };
}
