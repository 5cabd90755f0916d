import { sleepUnlessAborted } from "../core/clock.ts";
import { SluiceError } from "../core/errors.ts";
import type { FaultBoard } from "../core/faults.ts";
import type { Clock } from "../core/ports.ts";
import type { HttpClient, HttpResponse } from "./http.ts";
import type { SdkHandler } from "./sdk-handler.ts";

const upstreamDelayMs = 5000;
const bucketDelayMs = 3000;
/** Of a body whose size nobody said. */
const cutAfterBytes = 512;

/** An upstream's client while a drill is about upstreams. */
export function withUpstreamFaults(http: HttpClient, faults: FaultBoard, clock: Clock): HttpClient {
  return {
    async get(request) {
      const { host } = request.url;
      const refusal = faults.refusal("upstream-down");
      if (refusal !== undefined) {
        throw new SluiceError("upstream_failed", `${host}: ${refusal.message}`, { cause: refusal, details: { host } });
      }
      if (faults.is("upstream-503")) return unavailable(request.url);
      if (faults.is("upstream-slow")) {
        const signal = AbortSignal.any([request.signal, faults.over]);
        await sleepUnlessAborted(clock, upstreamDelayMs, signal);
      }
      const response = await http.get(request);
      return faults.is("upstream-cut") ? cut(response, host) : response;
    },
    close: () => http.close(),
  };
}

/** The way to a bucket while a drill is about buckets. */
export function withBucketFaults(handler: SdkHandler, faults: FaultBoard, clock: Clock): SdkHandler {
  return {
    ...handler,
    async handle(request, options) {
      const refusal = faults.refusal("bucket-down");
      if (refusal !== undefined) {
        throw new SluiceError("upstream_failed", `${request.hostname}: ${refusal.message}`, { cause: refusal });
      }
      if (faults.is("bucket-slow")) await sleepUnlessAborted(clock, bucketDelayMs, faults.over);
      return handler.handle(request, options);
    },
  };
}

function unavailable(url: URL): HttpResponse {
  return { status: 503, headers: {}, url, size: 0, body: noBytes(), discard: () => undefined };
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

function cut(response: HttpResponse, host: string): HttpResponse {
  const limit = Math.floor(response.size === undefined ? cutAfterBytes : response.size / 2);
  return { ...response, body: beginning(response, { limit, host }) };
}

async function* beginning(
  response: HttpResponse,
  { limit, host }: { readonly limit: number; readonly host: string },
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  try {
    for await (const chunk of response.body) {
      if (sent + chunk.length > limit) {
        yield chunk.subarray(0, limit - sent);
        throw new SluiceError("upstream_failed", `${host}: the connection broke off (the drill upstream-cut)`, {
          details: { host },
        });
      }
      sent += chunk.length;
      yield chunk;
    }
  } finally {
    response.discard();
  }
}
