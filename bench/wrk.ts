import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

/** One run of wrk. */
export interface LoadRun {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const script = path.join(import.meta.dirname, "wrk-report.lua");

/**
 * Closed-loop load on keep-alive connections, with the headers the go command sends.
 * Throws when a request failed or was not answered 2xx or 3xx: a fast error is no result.
 */
export async function runWrk(url: URL, options: { seconds: number; connections: number }): Promise<LoadRun> {
  const { stdout } = await promisify(execFile)("wrk", [
    "--threads=1",
    `--connections=${options.connections}`,
    `--duration=${options.seconds}s`,
    "--timeout=20s",
    "--header=User-Agent: Go-http-client/1.1",
    "--header=Accept-Encoding: gzip",
    `--script=${script}`,
    url.href,
  ]);
  const line = stdout.split("\n").find((text) => text.startsWith("bench "));
  if (line === undefined) throw new Error(`wrk printed no result for ${url.href}`);
  const [requests, micros, bytes, p50, p99, failed] = line.split(" ").slice(1).map(Number);
  if (requests === undefined || micros === undefined || bytes === undefined || requests === 0) {
    throw new Error(`wrk got no answer from ${url.href}`);
  }
  if (failed !== 0) throw new Error(`${failed} of ${requests} requests to ${url.href} failed`);
  const seconds = micros / 1e6;
  return {
    requestsPerSecond: requests / seconds,
    bytesPerSecond: bytes / seconds,
    p50Ms: (p50 ?? Number.NaN) / 1000,
    p99Ms: (p99 ?? Number.NaN) / 1000,
  };
}
