import { createHash, hash, webcrypto } from "node:crypto";
import { BrokenFile } from "./broken-file.ts";

/** From here on a thread of the pool hashes, so that other requests do not wait; below, handing over costs more than hashing. */
const hashAwayFromBytes = 256 * 1024;

/** Lowercase hex. */
export async function sha256Of(bytes: Uint8Array): Promise<string> {
  const { buffer } = bytes;
  if (bytes.length < hashAwayFromBytes || !(buffer instanceof ArrayBuffer)) return hash("sha256", bytes, "hex");
  const digest = await webcrypto.subtle.digest("SHA-256", new Uint8Array(buffer, bytes.byteOffset, bytes.length));
  return Buffer.from(digest).toString("hex");
}

/** Reads the stream to its end. */
export async function sha256OfStream(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const hasher = createHash("sha256");
  for await (const chunk of stream) hasher.update(chunk);
  return hasher.digest("hex");
}

/** Passes the stream on and hashes it. The last chunk is passed on only if the whole has the sha256, else it is a `BrokenFile`. */
export async function* checkedChunks(stream: AsyncIterable<Uint8Array>, sha256: string): AsyncGenerator<Uint8Array> {
  const hasher = createHash("sha256");
  let held: Uint8Array | undefined;
  for await (const chunk of stream) {
    if (held !== undefined) yield held;
    hasher.update(chunk);
    held = chunk;
  }
  refuseOtherHash(hasher.digest("hex"), sha256);
  if (held !== undefined) yield held;
}

export function refuseOtherHash(found: string, recorded: string): void {
  if (found !== recorded) throw new BrokenFile(`its sha256 is ${found}, recorded was ${recorded}`);
}
