import { createHash, hash } from "node:crypto";
import type { H1 } from "../brand.ts";
import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";
import { streamedEntryBytes } from "./limits.ts";
import type { ZipModule } from "./module-version.ts";
import type { RandomAccess } from "./random-access.ts";
import { readZip, type ModuleZip, type ZipEntry } from "./reader.ts";

/**
 * The dirhash of files in any order (SPEC §5.6): sha256 over one line for each file, sorted by the bytes of the name.
 * For a module the names are `P@V/path`. Throws `malformed_zip` for a name with a newline.
 */
export function hash1(files: Iterable<{ readonly name: string; readonly content: Uint8Array }>): H1 {
  const digests: FileDigest[] = [];
  for (const { name, content } of files) digests.push({ name, sha256: hash("sha256", content, "hex") });
  return hashDigests(digests);
}

/** The h1 of a go.mod file, as it stands in go.sum behind `V/go.mod`. */
export function hashGoMod(goMod: Uint8Array): H1 {
  return hash1([{ name: "go.mod", content: goMod }]);
}

/** The h1 of a module zip, all of it verified. Throws as `readZip` does. Memory: the largest entry. */
export function hashZip(source: RandomAccess, module: ZipModule): H1 {
  const zip = readZip(source, module);
  return hashDigests(zip.entries.map((entry) => digestOf(zip, entry)));
}

/** As `hashZip`, but large entries are streamed, so that memory does not grow with their size. */
export async function verifyZip(source: RandomAccess, module: ZipModule): Promise<H1> {
  const zip = readZip(source, module);
  const digests: FileDigest[] = [];
  for (const entry of zip.entries) {
    const isLarge = Math.max(entry.size, entry.compressedSize) > streamedEntryBytes;
    digests.push(isLarge ? await streamedDigestOf(zip, entry) : digestOf(zip, entry));
  }
  return hashDigests(digests);
}

/** Reads `h1:` and the base64 of a sha256, as it stands in go.sum and `.ziphash`. Throws `malformed_gosum`. */
export function parseH1(text: string): H1 {
  const digest = /^h1:([A-Za-z0-9+/]{43}=)$/.exec(text)?.[1];
  // Decoding drops bits that must be zero in the last character.
  if (digest === undefined || Buffer.from(digest, "base64").toString("base64") !== digest) {
    throw new ProtocolError(
      "malformed_gosum",
      `malformed hash ${goQuote(text.slice(0, 100))}: expected h1:<base64 of a sha256>`,
    );
  }
  return trusted(text);
}

interface FileDigest {
  readonly name: string;
  /** Lowercase hex. */
  readonly sha256: string;
}

function digestOf(zip: ModuleZip, entry: ZipEntry): FileDigest {
  return { name: entry.name, sha256: hash("sha256", zip.read(entry), "hex") };
}

async function streamedDigestOf(zip: ModuleZip, entry: ZipEntry): Promise<FileDigest> {
  const sha256 = createHash("sha256");
  for await (const chunk of zip.stream(entry)) sha256.update(chunk);
  return { name: entry.name, sha256: sha256.digest("hex") };
}

function hashDigests(digests: FileDigest[]): H1 {
  const summary = createHash("sha256");
  for (const { name, sha256 } of digests.sort(byNameBytes)) {
    if (name.includes("\n")) {
      throw new ProtocolError("malformed_zip", "dirhash: filenames with newlines are not supported");
    }
    summary.update(`${sha256}  ${name}\n`);
  }
  return trusted(`h1:${summary.digest("base64")}`);
}

const hasSurrogate = /[\ud800-\udfff]/;

/** Order of the UTF-8 bytes. That of UTF-16 differs where a character above U+FFFF stands against one from U+E000 on. */
function byNameBytes(a: FileDigest, b: FileDigest): number {
  if (hasSurrogate.test(a.name) || hasSurrogate.test(b.name)) {
    return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
  }
  if (a.name === b.name) return 0;
  return a.name < b.name ? -1 : 1;
}

function trusted(text: string): H1 {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the place where h1 hashes are made
  return text as H1;
}
