import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { portOf } from "../support/loopback.ts";
import type { NetworkFault } from "../support/faulty-upstream.ts";
import type { Random } from "../support/random.ts";
import { generatedFile } from "./generated-modules.ts";

/** How the upstream is; what is set counts for the next request. */
export interface Weather {
  /** Answers 503 to everything. */
  isOff: boolean;
  /** Of 100 requests. */
  failPercent: number;
  faults: readonly NetworkFault[];
  stallMs: number;
}

export interface GeneratedUpstream extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly weather: Weather;
  readonly requests: number;
  readonly failed: number;
}

/** Bodies go out in pieces with pauses in between, so that transfers are under way at any moment. */
const pieceBytes = 96 * 1024;
const maxPauseMs = 25;

/** A GOPROXY on loopback with all generated modules. */
export async function startGeneratedUpstream(random: Random): Promise<GeneratedUpstream> {
  const weather: Weather = { isOff: false, failPercent: 0, faults: [], stallMs: 1500 };
  let requests = 0;
  let failed = 0;
  const server = createServer((request, response) => {
    // Clients that hang up are part of it.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    requests += 1;
    const file = generatedFile(decodeURIComponent((request.url ?? "/").slice(1)));
    if (weather.isOff) return sendText(response, 503, "off");
    if (file === undefined) return sendText(response, 404, "not found: no generated module");
    const start = rangeStart(request.headers.range, file.length);
    const fault =
      random.chance(weather.failPercent) && weather.faults.length > 0 ? random.pick(weather.faults) : undefined;
    if (fault !== undefined) failed += 1;
    if (fault === "503") return sendText(response, 503, "fault");
    if (fault === "reset") return void request.socket.resetAndDestroy();
    void send(response, { file, start, random, fault, stallMs: weather.stallMs });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    weather,
    get requests() {
      return requests;
    },
    get failed() {
      return failed;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

interface Sending {
  readonly file: Buffer;
  readonly start: number;
  readonly random: Random;
  readonly fault: NetworkFault | undefined;
  readonly stallMs: number;
}

async function send(response: ServerResponse, { file, start, random, fault, stallMs }: Sending): Promise<void> {
  const isEarly = random.chance(50);
  if (fault === "stall" && isEarly) await delay(stallMs);
  response.writeHead(start === 0 ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": file.length - start,
    ...(start > 0 && { "content-range": `bytes ${start}-${file.length - 1}/${file.length}` }),
  });
  response.flushHeaders();
  const middle = start + Math.floor((file.length - start) / 2);
  for (let at = start; at < file.length && !response.destroyed; at += pieceBytes) {
    if (fault === "cut" && at + pieceBytes > middle) return void response.destroy();
    if (fault === "stall" && !isEarly && at <= middle && middle < at + pieceBytes) await delay(stallMs);
    await delay(random.int(maxPauseMs));
    // The whole file is in memory anyway, so nothing is gained by waiting for a slow reader.
    response.write(file.subarray(at, at + pieceBytes));
  }
  response.end();
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(text);
}

/** `bytes=N-` only: what a client sends to go on. */
function rangeStart(range: string | undefined, size: number): number {
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  return start < size ? start : 0;
}
