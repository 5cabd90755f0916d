import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** What one answered request was. */
export interface RequestRecord {
  readonly id: string;
  readonly method: string;
  /** As the client wrote it. */
  readonly path: string;
  readonly status: number;
  readonly kind: string;
  readonly module?: string | undefined;
  readonly version?: string | undefined;
  readonly cache: string;
  /** Where the answer came from. */
  readonly source?: string | undefined;
  /** Body bytes sent. */
  readonly bytes: number;
  readonly durationMs: number;
  readonly client: string;
  /** Code and message when it failed. */
  readonly error?: string | undefined;
}

export interface RequestRecorder {
  record(record: RequestRecord): void;
  /** Makes a recorder for an answer that will be given many times, with everything precomputed that can be. */
  prepare(record: Omit<RequestRecord, "id" | "durationMs" | "client">): PreparedRecorder;
}

export type PreparedRecorder = (id: string, client: string, durationMs: number) => void;

/** One log line and the metrics of every request, however it was answered. */
export function createRequestRecorder(
  log: Log,
  metrics: Metrics,
  options: { readonly logRequests: boolean },
): RequestRecorder {
  const isLogging = options.logRequests && log.hasInfo;
  return {
    record(record) {
      const { kind, cache } = record;
      metrics.requests.labels(kind, String(record.status), cache).inc();
      metrics.requestSeconds.labels(kind, cache).observe(record.durationMs / 1000);
      metrics.responseBytes.labels(kind).inc(record.bytes);
      if (!isLogging) return;
      const { id, client, durationMs, ...rest } = record;
      log.write(requestLine(id, client, durationMs, lineTail(rest)));
    },
    prepare(record) {
      const { kind, cache, bytes } = record;
      const requests = metrics.requests.labels(kind, String(record.status), cache);
      const seconds = metrics.requestSeconds.labels(kind, cache);
      const responseBytes = metrics.responseBytes.labels(kind);
      const tail = lineTail(record);
      return (id, client, durationMs) => {
        requests.inc();
        seconds.observe(durationMs / 1000);
        responseBytes.inc(bytes);
        if (isLogging) log.write(requestLine(id, client, durationMs, tail));
      };
    },
  };
}

/** In pino's own form, so that whatever reads the other lines reads these. `30` is pino's level info. */
function requestLine(id: string, client: string, durationMs: number, tail: string): string {
  return `{"level":30,"time":${Date.now()},"id":"${id}","client":"${client}","ms":${Math.round(durationMs * 1000) / 1000},${tail}`;
}

function lineTail(record: Omit<RequestRecord, "id" | "durationMs" | "client">): string {
  return `${JSON.stringify({ ...record, msg: "request" }).slice(1)}\n`;
}
