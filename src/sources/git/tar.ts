import type { SourceFile } from "../../protocol/zip/index.ts";

const blockBytes = 512;

/** The bytes are no tar archive as git writes them. */
export class TarError extends Error {
  override readonly name = "TarError";
}

/**
 * Reads what `git archive --format=tar` writes: files, links and folders in ustar headers, long names in pax records. Folders and
 * submodules, which are empty folders in it, are left out. Contents are views into `archive`.
 */
export function* readTar(archive: Uint8Array): Generator<SourceFile> {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  let pax: ReadonlyMap<string, string> = new Map();
  for (let at = 0; at + blockBytes <= bytes.length;) {
    const header = bytes.subarray(at, at + blockBytes);
    if (header[0] === 0 && isZero(header)) return;
    const type = String.fromCharCode(header[156] ?? 0);
    const isExtended = type === "x" || type === "g";
    const size = isExtended ? numberIn(header, 124, 12) : sizeOf(header, pax);
    const start = at + blockBytes;
    const end = start + size;
    if (end > bytes.length) throw new TarError("a tar archive ends in the middle of a file");
    at = start + Math.ceil(size / blockBytes) * blockBytes;
    const content = bytes.subarray(start, end);
    if (isExtended) {
      // The global one only carries the commit's hash as a comment.
      if (type === "x") pax = paxRecords(content);
      continue;
    }
    const path = pax.get("path") ?? nameOf(header);
    pax = new Map();
    if (type === "5" || path.endsWith("/")) continue;
    if (type === "0" || type === "\0") yield { path, content };
    else if (type === "2") yield { path, kind: "symlink", content: new Uint8Array() };
    else yield { path, kind: "irregular", content: new Uint8Array() };
  }
  throw new TarError("a tar archive has no end");
}

function sizeOf(header: Buffer, pax: ReadonlyMap<string, string>): number {
  const size = pax.get("size");
  return size === undefined ? numberIn(header, 124, 12) : Number(size);
}

function numberIn(header: Buffer, start: number, length: number): number {
  const text = textIn(header, start, length).trim();
  if (!/^[0-7]{1,12}$/.test(text)) throw new TarError("a tar header has no size");
  return Number.parseInt(text, 8);
}

function nameOf(header: Buffer): string {
  const name = textIn(header, 0, 100);
  const prefix = textIn(header, 345, 155);
  return prefix === "" ? name : `${prefix}/${name}`;
}

function textIn(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end < 0 ? length : end);
}

/** `<length of the record> <key>=<value>` and a line end each. */
function paxRecords(content: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString("latin1", at, space));
    const equals = content.indexOf(0x3d, space);
    if (space < 0 || equals < 0 || !(length > 0) || at + length > content.length) {
      throw new TarError("a tar archive has a malformed pax record");
    }
    records.set(content.toString("utf8", space + 1, equals), content.toString("utf8", equals + 1, at + length - 1));
    at += length;
  }
  return records;
}

function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}
