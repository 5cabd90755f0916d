import { isSluiceError } from "../../src/core/errors.ts";
import type { ServedLog } from "../../src/core/served-log.ts";
import { parseLogRequest } from "../../src/protocol/sumdb/index.ts";
import { asker } from "./open-log.ts";
import { serveHttp } from "./loopback.ts";

/** Serves a log at an address of its own, as the server does it, but without anything around. Ends with the test. */
export async function serveLog(log: ServedLog): Promise<{ readonly url: string }> {
  const server = await serveHttp((request, response) => {
    bytesOf(log, request.url?.slice(1) ?? "").then(
      (bytes) => response.end(bytes),
      (error: unknown) => {
        response.statusCode = isSluiceError(error, "not_found") ? 404 : 500;
        response.end(error instanceof Error ? error.message : "");
      },
    );
  });
  return { url: server.url().href.slice(0, -1) };
}

async function bytesOf(log: ServedLog, path: string): Promise<Uint8Array | undefined> {
  const request = parseLogRequest(path);
  if (request.kind === "lookup") return (await log.lookup(request.modulePath, request.version, asker())).bytes;
  if (request.kind === "tile") return (await log.tile(request.tile, asker())).bytes;
  return (await log.latest(asker())).bytes;
}
