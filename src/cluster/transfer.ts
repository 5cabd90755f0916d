import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { innerHeaders } from "./inner-headers.ts";

/** Of one connection only (RFC 9110 §7.6.1). */
export const hopHeaders: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The engine ended in the middle of its answer; what there is of it stays valid. */
export class EngineLost extends Error {
  override readonly name = "EngineLost";
  /** The engine may have begun with the request. */
  readonly wasSent: boolean;

  constructor(cause: unknown, wasSent: boolean) {
    super("the engine is gone", { cause });
    this.wasSent = wasSent;
  }
}

/**
 * One answer on its way to a client. When the engine is lost, it goes on with the answer of the next one, as long as that is the
 * same so far: the client has the first part of it already.
 */
export class Transfer {
  readonly #response: ServerResponse;
  readonly #sentHash = createHash("sha256");
  readonly #captured: Uint8Array[] | undefined;
  #capturedRoom: number;
  #sent = 0;
  #contentLength: string | undefined;

  constructor(response: ServerResponse, captureBytes: number) {
    this.#response = response;
    this.#capturedRoom = captureBytes;
    this.#captured = captureBytes > 0 ? [] : undefined;
  }

  /** Body bytes that the client has, or will get. */
  get sent(): number {
    return this.#sent;
  }

  /** The whole body, if it was small enough. */
  get captured(): Uint8Array | undefined {
    return this.#capturedRoom < 0 || this.#captured === undefined ? undefined : Buffer.concat(this.#captured);
  }

  /** Fails with `EngineLost`, with the signal's reason, or with an `Error` when there is no way to go on. */
  async receive(answer: IncomingMessage, signal: AbortSignal): Promise<void> {
    this.#begin(answer);
    let toSkip = this.#sent;
    const skipped = createHash("sha256");
    for await (const chunk of chunksOf(answer)) {
      const again = chunk.subarray(0, toSkip);
      if (again.length > 0) {
        skipped.update(again);
        toSkip -= again.length;
        if (toSkip === 0) this.#refuseOther(skipped.digest("hex"));
      }
      if (again.length < chunk.length) await this.#send(chunk.subarray(again.length), signal);
    }
    if (toSkip > 0) throw new Error("what the engine sends now is shorter than what it sent before");
    this.#response.end();
  }

  #begin(answer: IncomingMessage): void {
    const { statusCode = 502 } = answer;
    const contentLength = answer.headers["content-length"];
    if (!this.#response.headersSent) {
      this.#contentLength = contentLength;
      this.#response.writeHead(statusCode, passedHeaders(answer.rawHeaders));
    } else if (statusCode !== this.#response.statusCode || contentLength !== this.#contentLength) {
      throw new Error(`the engine answers ${statusCode} now, after ${this.#response.statusCode}`);
    }
  }

  #refuseOther(skipped: string): void {
    if (skipped !== this.#sentHash.copy().digest("hex")) throw new Error("the engine sends another body than before");
  }

  async #send(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    this.#sent += chunk.length;
    this.#sentHash.update(chunk);
    this.#capturedRoom -= chunk.length;
    if (this.#capturedRoom >= 0) this.#captured?.push(chunk);
    if (!this.#response.write(chunk)) await once(this.#response, "drain", { signal });
  }
}

/** Name, value, name, value … without what is between the engine and us. */
function passedHeaders(rawHeaders: readonly string[]): string[] {
  const passed: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name = "", value = ""] = rawHeaders.slice(i, i + 2);
    const lower = name.toLowerCase();
    if (!hopHeaders.has(lower) && !innerHeaders.has(lower)) passed.push(name, value);
  }
  return passed;
}

async function* chunksOf(answer: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    throw new EngineLost(error, true);
  }
}
