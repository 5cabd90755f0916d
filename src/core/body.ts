import { ProtocolError } from "../protocol/error.ts";
import { SluiceError } from "./errors.ts";
import type { SourceResponse } from "./ports.ts";

/** Reads a small body whole. More than `maxBytes` is `upstream_invalid`. */
export async function readBody(response: SourceResponse, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new SluiceError(
        "upstream_invalid",
        `${response.source} sent more than ${maxBytes} bytes where a small file was asked for`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** Runs a parser of protocol/ on what a source sent; what it refuses is the source's fault, not the client's. */
export function parseFrom<T>(source: string, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SluiceError("upstream_invalid", `${source} answered ${what} with something else: ${error.message}`, {
      cause: error,
    });
  }
}
