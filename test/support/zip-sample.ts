import { deflateRawSync } from "node:zlib";
import { expect } from "vitest";
import { ProtocolError } from "../../src/protocol/error.ts";
import { hashZip, readZip, type RandomAccess } from "../../src/protocol/zip/index.ts";

// A module with two files, and what tests of the zip reader ask of a zip made of them.

export const sampleModule = { modulePath: "example.com/m", version: "v1.0.0" };
export const root = "example.com/m@v1.0.0/";
export const hello = { name: `${root}hello.go`, content: "package hello\n\n// hello hello hello hello\n" };
export const other = { name: `${root}sub/other.go`, content: "package other\n" };
export const packedHello = deflateRawSync(hello.content);
export const helloFields = { crc32: 0x183ee5ba, compressedSize: packedHello.length, size: hello.content.length };
export const junk = Buffer.from("junk");
export const mib = 1024 * 1024;

/** Random access that fails the test when it is asked for bytes that are not there. */
export function strictAccess(bytes: Uint8Array): RandomAccess {
  return {
    size: bytes.length,
    read: (offset, length) => {
      if (offset < 0 || length < 0 || offset + length > bytes.length) {
        throw new RangeError(`asked for ${length} bytes at ${offset} of ${bytes.length}`);
      }
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** Path to content of all entries, each read and verified. */
export function filesOf(zip: Uint8Array): Record<string, string> {
  const reader = readZip(strictAccess(zip), sampleModule);
  return Object.fromEntries(reader.entries.map((entry) => [entry.path, Buffer.from(reader.read(entry)).toString()]));
}

export interface Refusal {
  readonly zip: Buffer;
  readonly message: RegExp;
  /** Default `malformed_zip`. */
  readonly code?: string;
}

/** Why the zip is refused: in one short line, and the same whether its entries are read at once or in pieces. */
export async function refusalOf(zip: Uint8Array): Promise<ProtocolError> {
  const error = problemOf(() => hashZip(strictAccess(zip), sampleModule));
  expect(error.message).not.toMatch(/[\n\r]/);
  expect(error.message.length).toBeLessThan(700);
  expect(error.message.isWellFormed()).toBe(true);
  await expect(readInPieces(zip)).rejects.toMatchObject({ name: "ProtocolError", code: error.code });
  return error;
}

async function readInPieces(zip: Uint8Array): Promise<void> {
  const reader = readZip(strictAccess(zip), sampleModule);
  for (const entry of reader.entries) {
    for await (const chunk of reader.stream(entry)) expect(chunk.length).toBeLessThanOrEqual(mib);
  }
}

function problemOf(act: () => unknown): ProtocolError {
  try {
    act();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  return expect.unreachable("accepted");
}
