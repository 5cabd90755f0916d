import { SluiceError } from "../../src/core/errors.ts";
import type { Clock } from "../../src/core/ports.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "../../src/net/http.ts";

/** How one request goes, in the time of a test's clock. */
export type Turn =
  | "ok"
  /** At once. */
  | "refused"
  | "reset"
  /** Half of the body comes. */
  | "cut"
  /** Good, 5 s late. */
  | "late"
  /** No answer within the time for the first byte. */
  | "hang"
  | number;

export interface SimulatedUpstream {
  readonly http: HttpClient;
  /** Requests so far. */
  readonly requests: number;
  /** Under way now. */
  readonly running: number;
}

export interface SimulationOptions {
  readonly clock: Clock;
  /** How the next request goes. */
  readonly play: () => Turn;
  /** Of a good answer. */
  readonly latencyMs: () => number;
  /** Default 60 s. */
  readonly firstByteMs?: number;
}

const body = Buffer.from("0123456789");

/** An upstream that needs no time but that of a test's clock. */
export function simulateUpstream({
  clock,
  play,
  latencyMs,
  firstByteMs = 60_000,
}: SimulationOptions): SimulatedUpstream {
  let requests = 0;
  let running = 0;
  return {
    http: {
      async get({ url, signal }: HttpRequest): Promise<HttpResponse> {
        requests += 1;
        running += 1;
        const turn = play();
        try {
          await clock.sleep(delayOf(turn), signal);
        } catch (cause) {
          throw new SluiceError("cancelled", "given up", { cause });
        } finally {
          running -= 1;
        }
        if (turn === "hang") throw new SluiceError("upstream_timeout", `${url.host}: did not begin to answer.`);
        if (turn === "refused" || turn === "reset") {
          throw new SluiceError("upstream_failed", `${url.host}: the connection was ${turn}.`);
        }
        return answer(url, turn);
      },
      close: async () => undefined,
    },
    get requests() {
      return requests;
    },
    get running() {
      return running;
    },
  };

  function delayOf(turn: Turn): number {
    if (turn === "refused") return 1;
    if (turn === "hang") return firstByteMs;
    return latencyMs() + (turn === "late" ? 5000 : 0);
  }
}

function answer(url: URL, turn: Turn): HttpResponse {
  const status = typeof turn === "number" ? turn : 200;
  return {
    status,
    headers: {},
    url,
    size: status === 200 ? body.length : 0,
    body: bodyOf(url, turn),
    discard: () => undefined,
  };
}

async function* bodyOf({ host }: URL, turn: Turn): AsyncGenerator<Uint8Array> {
  if (typeof turn === "number") return;
  yield body.subarray(0, turn === "cut" ? 5 : body.length);
  if (turn !== "cut") return;
  const cause = Object.assign(new Error("reset"), { code: "ECONNRESET" });
  throw new SluiceError("upstream_invalid", `${host}: closed the connection behind 5 of the 10 bytes.`, { cause });
}
