import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { SluiceError } from "../core/errors.ts";
import { errorCode, transportError } from "./transport-error.ts";

export interface BodyOptions {
  readonly host: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the decoded body. */
  readonly maxBytes: number;
  /** A time in which fewer than `idleBytes` come, spent waiting for the server, ends the body. */
  readonly idleMs: number;
  readonly idleBytes: number;
  /** The client took gzip. Another coding, or one that was not asked for, is an error of the body. */
  readonly acceptsGzip: boolean;
  /** Why the exchange was stopped from outside, if it was: it takes the place of the error that the stopping causes. */
  readonly stopped: () => SluiceError | undefined;
}

/** The decoded body, bounded in size and in how slowly it may come. Ends the underlying body when it is left early. */
export async function* readBody(raw: Readable, options: BodyOptions): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const { host, headers, maxBytes } = options;
    const coding = codingOf(options);
    const compressed = coding === "gzip" || coding === "x-gzip";
    if (coding !== "identity" && !(compressed && options.acceptsGzip)) {
      throw invalid(host, `answered in Content-Encoding ${JSON.stringify(coding)}, which Sluice did not ask for`);
    }
    if (!compressed && Number(headers["content-length"] ?? 0) > maxBytes) throw tooLarge(host, maxBytes);

    let bytes = 0;
    for await (const chunk of compressed ? gunzip(encodedBytes(raw, options)) : encodedBytes(raw, options)) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooLarge(host, maxBytes);
      yield chunk;
    }
  } catch (error) {
    throw bodyError(error, options);
  } finally {
    raw.destroy();
  }
}

/** The coding of what comes. Nothing at all is in no coding, even where a header says so: a list without versions, say. */
export function codingOf({ status, headers }: Pick<BodyOptions, "status" | "headers">): string {
  if (status === 204 || status === 304 || headers["content-length"] === "0") return "identity";
  return headers["content-encoding"]?.toLowerCase() ?? "identity";
}

/** What came over the wire, held against its promised length and the clock. */
async function* encodedBytes(
  raw: Readable,
  { host, headers, idleMs, idleBytes }: BodyOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const promised = headers["content-length"] === undefined ? undefined : Number(headers["content-length"]);
  const chunks: AsyncIterator<Uint8Array> = raw[Symbol.asyncIterator]();
  let received = 0;
  let windowBytes = 0;
  let windowMs = 0;
  for (;;) {
    const waitingSince = performance.now();
    const next = await nextWithin(chunks, idleMs - windowMs, raw).catch((error: unknown) => {
      if (promised === undefined || received >= promised || !isCut(error)) throw error;
      throw invalid(host, `closed the connection behind ${received} of the ${promised} bytes it promised`, error);
    });
    if (next.done === true) break;
    windowMs += performance.now() - waitingSince;
    windowBytes += next.value.length;
    if (windowBytes >= idleBytes) windowBytes = windowMs = 0;
    received += next.value.length;
    yield next.value;
  }
  if (promised !== undefined && received !== promised) {
    throw invalid(host, `sent ${received} bytes where it promised ${promised}`);
  }
}

async function nextWithin(
  chunks: AsyncIterator<Uint8Array>,
  limitMs: number,
  raw: Readable,
): Promise<IteratorResult<Uint8Array>> {
  const timer = setTimeout(
    () => raw.destroy(Object.assign(new Error("body idle"), { code: "UND_ERR_BODY_TIMEOUT" })),
    Math.max(limitMs, 0),
  );
  try {
    return await chunks.next();
  } finally {
    clearTimeout(timer);
  }
}

function gunzip(encoded: AsyncGenerator<Uint8Array>): AsyncIterable<Uint8Array> {
  // The callback's error is the one that reading the result throws.
  return pipeline(Readable.from(encoded), createGunzip({ chunkSize: 65_536 }), () => undefined);
}

function isCut(error: unknown): boolean {
  const code = errorCode(error);
  return code === "UND_ERR_SOCKET" || code === "ECONNRESET" || code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH";
}

function bodyError(error: unknown, { host, stopped }: BodyOptions): SluiceError {
  const outside = stopped();
  if (outside !== undefined) return outside;
  const code = errorCode(error);
  if (code?.startsWith("Z_") === true) return invalid(host, `sent a body that is not valid gzip (${code})`, error);
  return transportError(error, { host });
}

function tooLarge(host: string, maxBytes: number): SluiceError {
  return invalid(host, `sent a body larger than the ${maxBytes} bytes that this file may have`);
}

function invalid(host: string, text: string, cause?: unknown): SluiceError {
  return new SluiceError("upstream_invalid", `${host}: ${text}.`, { cause, details: { host } });
}
