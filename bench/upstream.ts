import { once } from "node:events";
import { createReadStream, statSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import path from "node:path";

/** Modules below this path are never answered. */
export const hangingPrefix = "hang.example.com/";

/** A loopback GOPROXY that serves a folder and counts. */
export interface BenchUpstream {
  readonly url: URL;
  /** Requests by path, since the start or `forget`. */
  readonly counts: ReadonlyMap<string, number>;
  /** Resolves when this many requests hang. */
  hanging(count: number): Promise<void>;
  /** Lets those that hang go: their connections are cut. */
  cutHanging(): void;
  forget(): void;
  close(): Promise<void>;
}

/**
 * Every answer begins `latencyMs` after its request: what a far server costs, without the noise of a real one.
 * Files are streamed, so a large tree needs no memory.
 */
export async function startUpstream(folder: string, latencyMs: number): Promise<BenchUpstream> {
  const counts = new Map<string, number>();
  const hung = new Set<ServerResponse>();
  let wake = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    const file = decodeURIComponent((request.url ?? "/").slice(1));
    counts.set(file, (counts.get(file) ?? 0) + 1);
    if (file.startsWith(hangingPrefix)) {
      hung.add(response);
      response.once("close", () => hung.delete(response));
      wake.resolve();
      wake = Promise.withResolvers();
      return;
    }
    setTimeout(() => sendFile(response, path.join(folder, file)), latencyMs);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the upstream has no TCP port");
  return {
    url: new URL(`http://127.0.0.1:${address.port}`),
    counts,
    async hanging(count) {
      while (hung.size < count) await wake.promise;
    },
    cutHanging() {
      for (const response of hung) response.destroy();
    },
    forget: () => counts.clear(),
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function sendFile(response: ServerResponse, file: string): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() !== true) {
    response.writeHead(404, { "content-type": "text/plain; charset=utf-8" });
    response.end("not found: unknown to the bench upstream");
    return;
  }
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": stat.size });
  createReadStream(file, { highWaterMark: 256 * 1024 })
    .on("error", () => response.destroy())
    .pipe(response);
}
