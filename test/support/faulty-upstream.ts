import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { buildZip } from "./fixture-modules.ts";

/** How one request goes wrong. `stall`: the answer, or the second half of its body, comes late. */
export type NetworkFault = "503" | "reset" | "cut" | "stall";

export const networkFaults: readonly NetworkFault[] = ["503", "reset", "cut", "stall"];

/** Wrong bytes for every `.mod` and `.zip`: another bit in the middle, or another module that is well-formed. */
export type Lie = "bit" | "content";

/** `faults`, `percent` and `lie` are read at each request, so that they may change meanwhile. */
export interface FaultyUpstreamOptions {
  /** In the GOPROXY layout. */
  readonly folder: string;
  /** Each as likely as the others. None: nothing fails. */
  readonly faults: readonly NetworkFault[];
  /** Of all requests that a file is there for. */
  readonly percent: number;
  readonly seed: number;
  /** Default 5 s. */
  readonly stallMs?: number;
  /** Until an answer begins. Default 0. */
  readonly latencyMs?: number;
  /** Default: none, it only tells what the folder has. */
  readonly lie?: Lie | undefined;
}

/** A GOPROXY on loopback that serves a folder, and fails by a seed. */
export interface FaultyUpstream extends AsyncDisposable {
  readonly url: string;
  readonly requests: number;
  /** Of these, those that went wrong. */
  readonly failed: number;
  /** All paths that it was asked for, found or not, decoded, without the slash at their beginning. */
  readonly paths: Iterable<string>;
}

/**
 * Which requests fail follows from the seed, the file, and how often it was asked for before, and not from the order in which
 * files are asked for. Files are streamed, so a large tree needs no memory. A request for the rest of a file gets it.
 */
export async function startFaultyUpstream(options: FaultyUpstreamOptions): Promise<FaultyUpstream> {
  const { folder, stallMs = 5000, latencyMs = 0 } = options;
  const asked = new Map<string, number>();
  const pending = new Set<NodeJS.Timeout>();
  let requests = 0;
  let failed = 0;
  const server = createServer((request, response) => {
    // A client that hangs up is what stalls are about.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const path = decodeURIComponent((request.url ?? "/").slice(1));
    const times = (asked.get(path) ?? 0) + 1;
    asked.set(path, times);
    requests += 1;
    after(latencyMs, () => {
      const file = join(folder, path);
      const size = sizeOf(file);
      if (size === undefined) return sendText(response, 404, "not found: unknown to the faulty upstream");
      if (options.lie !== undefined && /\.(mod|zip)$/.test(path)) {
        failed += 1;
        return sendWhole(response, lieAbout(path, readFileSync(file), options.lie));
      }
      const start = rangeStart(request.headers.range, size);
      const answer = (part: { readonly end: number; readonly isWhole: boolean }): void =>
        send(response, { file, size, start, ...part });
      const luck = draw(options, `${path} ${times}`);
      if (luck === undefined) return answer({ end: size, isWhole: true });
      failed += 1;
      const middle = start + Math.floor((size - start) / 2);
      if (luck.fault === "503") return sendText(response, 503, "fault");
      if (luck.fault === "reset") return void request.socket.resetAndDestroy();
      if (luck.fault === "cut") return answer({ end: middle, isWhole: true });
      if (luck.isEarly) return after(stallMs, () => answer({ end: size, isWhole: true }));
      answer({ end: middle, isWhole: false });
      after(stallMs, () => append(response, { file, start: middle, end: size }));
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the upstream has no TCP port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    get requests() {
      return requests;
    },
    get failed() {
      return failed;
    },
    paths: { [Symbol.iterator]: () => asked.keys() },
    async [Symbol.asyncDispose]() {
      for (const timer of pending) clearTimeout(timer);
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };

  function after(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      pending.delete(timer);
      work();
    }, ms);
    pending.add(timer);
  }
}

function draw(
  { faults, percent, seed }: FaultyUpstreamOptions,
  what: string,
): { readonly fault: NetworkFault; readonly isEarly: boolean } | undefined {
  const dice = createHash("sha256").update(`${seed} ${what}`).digest();
  const fault = faults[dice.readUInt32BE(4) % Math.max(1, faults.length)];
  if (fault === undefined || dice.readUInt32BE(0) >= (percent / 100) * 2 ** 32) return undefined;
  return { fault, isEarly: dice.readUInt8(8) % 2 === 0 };
}

/** Up to `end`: behind it the connection is cut, or, where it is not the whole answer, somebody appends the rest. */
function send(
  response: ServerResponse,
  part: {
    readonly file: string;
    readonly size: number;
    readonly start: number;
    readonly end: number;
    readonly isWhole: boolean;
  },
): void {
  const { file, size, start, end, isWhole } = part;
  const range = start === 0 ? {} : { "content-range": `bytes ${start}-${size - 1}/${size}` };
  response.writeHead(start === 0 ? 200 : 206, {
    "content-type": "application/octet-stream",
    "content-length": size - start,
    ...range,
  });
  response.flushHeaders();
  if (isWhole && end === size) return append(response, { file, start, end });
  if (end === start) {
    if (isWhole) response.socket?.destroySoon();
    return;
  }
  const stream = createReadStream(file, { start, end: end - 1 });
  stream.pipe(response, { end: false });
  if (isWhole) stream.on("end", () => response.socket?.destroySoon());
}

function append(
  response: ServerResponse,
  { file, start, end }: { readonly file: string; readonly start: number; readonly end: number },
): void {
  if (response.destroyed) return;
  if (start === end) return void response.end();
  createReadStream(file, { start, end: end - 1, highWaterMark: 256 * 1024 })
    .on("error", () => response.destroy())
    .pipe(response);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" });
  response.end(text);
}

/** A range is for going on with what one has; a whole answer starts anew. */
function sendWhole(response: ServerResponse, bytes: Uint8Array): void {
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length });
  response.end(bytes);
}

function lieAbout(path: string, bytes: Buffer, lie: Lie): Uint8Array {
  if (lie === "bit") {
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    return bytes;
  }
  if (path.endsWith(".mod")) return Buffer.concat([bytes, Buffer.from("\n// Not the one.\n")]);
  const [, modulePath = "", version = ""] = /^(.+)\/@v\/(.+)\.zip$/.exec(unescape(path)) ?? [];
  return buildZip({ [`${modulePath}@${version}/doc.go`]: "// Not the one.\npackage other\n" });
}

/** Of Go's escaping of paths and versions. */
function unescape(path: string): string {
  return path.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** `bytes=N-` only: what a client sends to go on. */
function rangeStart(range: string | undefined, size: number): number {
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  return start < size ? start : 0;
}

function sizeOf(file: string): number | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat.size : undefined;
}
