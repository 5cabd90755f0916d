import { buffer } from "node:stream/consumers";
import { Agent, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { SluiceError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { clientHeader, innerHeaders } from "./inner-headers.ts";
import { EngineLost, hopHeaders, Transfer } from "./transfer.ts";

export interface EngineLinkOptions {
  /** Of the engine's Unix socket. */
  readonly socketPath: string;
  readonly clock: Clock;
}

export interface PassedOn {
  readonly id: string;
  readonly client: string;
  /** How long the engine may be away. */
  readonly patienceMs: number;
  /** The body is wanted back if it is no larger. */
  readonly captureBytes: number;
}

export interface PassedAnswer {
  readonly head: IncomingMessage;
  /** Whole; undefined when it was larger than wanted. */
  readonly body: Uint8Array | undefined;
}

const firstPauseMs = 20;
const longestPauseMs = 400;
/** The kernel's queue of the socket is as long, and the engine has its own queues behind it. */
const maxIdleSockets = 64;

/** The way from a front to the engine. An engine that ends is waited for, and clients do not notice. */
export class EngineLink {
  readonly #clock: Clock;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: maxIdleSockets });
  readonly #socketPath: string;

  constructor({ socketPath, clock }: EngineLinkOptions) {
    this.#socketPath = socketPath;
    this.#clock = clock;
  }

  /**
   * Has the engine answer. Fails with `cancelled` when the client goes away, with `restarting` when the engine does not come
   * back, and with anything else when a body that the client has a part of cannot be gone on with.
   */
  async pass(request: IncomingMessage, response: ServerResponse, passedOn: PassedOn): Promise<PassedAnswer> {
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort();
    });
    const { signal } = gone;
    const isRepeatable = request.method === "GET" || request.method === "HEAD";
    const transfer = new Transfer(response, passedOn.captureBytes);
    let away: { readonly since: number; readonly sent: number } | undefined;
    try {
      // Of the operator's API only, and small; the engine refuses larger ones by their length.
      const body = isRepeatable ? undefined : await buffer(request);
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
        try {
          const head = await this.#ask(request, { ...passedOn, body, signal });
          await transfer.receive(head, signal);
          return { head, body: transfer.captured };
        } catch (error) {
          if (!(error instanceof EngineLost) || signal.aborted) throw error;
          if (error.wasSent && !isRepeatable)
            throw restarting("it may have done what was asked: look before asking again", error);
          if (away?.sent !== transfer.sent) away = undefined;
          away ??= { since: this.#clock.now(), sent: transfer.sent };
          if (this.#clock.now() - away.since >= passedOn.patienceMs) throw restarting("ask again", error);
          await this.#clock.sleep(pauseMs, signal);
        }
      }
    } catch (error) {
      if (signal.aborted) throw new SluiceError("cancelled", "the client went away", { cause: error });
      throw error;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Resolves with the answer's head. */
  #ask(request: IncomingMessage, asking: Asking): Promise<IncomingMessage> {
    const { body, signal } = asking;
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest({
        socketPath: this.#socketPath,
        // A connection that the engine is just closing is no matter for what can be asked again.
        agent: body === undefined ? this.#agent : false,
        method: request.method,
        path: request.url,
        headers: headersFor(request, asking),
        signal,
      });
      outgoing.once("response", resolve);
      outgoing.once("error", (error: NodeJS.ErrnoException) => {
        const wasSent = error.code !== "ENOENT" && error.code !== "ECONNREFUSED";
        reject(new EngineLost(error, wasSent));
      });
      outgoing.end(body);
    });
  }
}

interface Asking extends PassedOn {
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal;
}

function headersFor(request: IncomingMessage, { id, client, body }: Asking): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !hopHeaders.has(name) && !innerHeaders.has(name)) headers[name] = value;
  }
  headers["x-request-id"] = id;
  headers[clientHeader] = client;
  if (body !== undefined) headers["content-length"] = String(body.length);
  return headers;
}

function restarting(advice: string, cause: Error): SluiceError {
  return new SluiceError("restarting", `the part of this Sluice that fetches modules is being restarted: ${advice}`, {
    cause,
  });
}
