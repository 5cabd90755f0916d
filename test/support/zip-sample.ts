import { deflateRawSync } from "node:zlib";
import { readZip, type RandomAccess } from "../../src/protocol/zip/index.ts";

// A module with two files, to make zips of, and ways to read those.

export const sampleModule = { modulePath: "example.com/m", version: "v1.0.0" };
export const root = "example.com/m@v1.0.0/";
export const hello = { name: `${root}hello.go`, content: "package hello\n\n// hello hello hello hello\n" };
export const other = { name: `${root}sub/other.go`, content: "package other\n" };
export const packedHello = deflateRawSync(hello.content);
export const helloFields = { crc32: 0x183ee5ba, compressedSize: packedHello.length, size: hello.content.length };
export const junk = Buffer.from("junk");
export const mib = 1024 * 1024;

/** Random access that fails (not with a ProtocolError) when it is asked for bytes that are not there. */
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
