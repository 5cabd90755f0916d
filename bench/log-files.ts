import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fillerRecord, sumLogSigner } from "../test/support/sum-log.ts";
import { parseVersion, unescapePath, unescapeVersion } from "../src/protocol/module/index.ts";
import {
  formatDataTile,
  formatLookup,
  formatRecord,
  formatTree,
  lookupPath,
  newTiles,
  parseSignerKey,
  recordHash,
  signNote,
  storedHashesFor,
  storedHashIndexesFor,
  tileHashIndexes,
  tileHeight,
  tilePath,
  treeHashIndexes,
  treeHashOf,
} from "../src/protocol/sumdb/index.ts";
import { hashGoMod, hashZip, parseH1, randomAccess } from "../src/protocol/zip/index.ts";

/** A checksum database that does not grow, as the files of a proxy that relays it: `sumdb/<name>/…`. */
export interface LogFiles {
  readonly name: string;
  /** As in GOSUMDB. */
  readonly verifierKey: string;
  /** Below the proxy, with a slash at its end. */
  readonly path: string;
}

export const logName = "sum.bench.example";

/**
 * Writes a log of so many records into a folder in the GOPROXY layout, whose versions stand in it far apart, as they do in a
 * large one.
 */
export function writeLog(folder: string, size: number): LogFiles {
  const signer = parseSignerKey(sumLogSigner(logName));
  const records = mixed(versionsOf(folder), size);
  const hashes = hashesOf(records.map(({ record }) => record));
  const read = (indexes: readonly number[]): Uint8Array[] => indexes.map((index) => hashes[index] ?? new Uint8Array());
  const hash = treeHashOf(records.length, read(treeHashIndexes(records.length)));
  const note = signNote(formatTree({ size: records.length, hash }), [signer]);

  const root = path.join(folder, "sumdb", logName);
  const write = (file: string, bytes: Uint8Array): void => {
    const target = path.join(root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, bytes);
  };
  write("supported", new Uint8Array());
  write("latest", note);
  for (const [id, { lookup, record }] of records.entries()) {
    if (lookup !== undefined) write(lookup, formatLookup(id, record, note));
  }
  for (const tile of newTiles(tileHeight, 0, records.length)) {
    write(tilePath(tile), Buffer.concat(read(tileHashIndexes(tile))));
    if (tile.level > 0) continue;
    const first = tile.index * 2 ** tileHeight;
    const texts = records.slice(first, first + tile.width).map(({ record }) => record);
    write(tilePath({ ...tile, level: -1 }), formatDataTile(texts));
  }
  return { name: logName, verifierKey: signer.verifierKey, path: `sumdb/${logName}/` };
}

interface Logged {
  /** Where it is looked up, such as `lookup/example.com/!upper@v1.0.0`; made-up records are not. */
  readonly lookup?: string;
  readonly record: string;
}

function versionsOf(folder: string): Logged[] {
  return globSync("**/@v/*.zip", { cwd: folder }).map((zipFile) => {
    const file = zipFile.slice(0, -".zip".length);
    const [, escapedPath = "", escapedVersion = ""] = /^(.*)\/@v\/(.*)$/.exec(file) ?? [];
    const modulePath = unescapePath(escapedPath);
    const version = parseVersion(unescapeVersion(escapedVersion));
    const read = (extension: string): Buffer => readFileSync(path.join(folder, `${file}.${extension}`));
    // What go itself wrote down saves reading gigabytes.
    const zip = existsSync(path.join(folder, `${file}.ziphash`))
      ? parseH1(read("ziphash").toString().trim())
      : hashZip(randomAccess(read("zip")), { modulePath, version });
    const record = formatRecord(modulePath, version, { zip, mod: hashGoMod(read("mod")) });
    return { lookup: lookupPath(modulePath, version), record };
  });
}

function mixed(versions: readonly Logged[], size: number): readonly Logged[] {
  const records: Logged[] = Array.from({ length: size }, (_, n) => ({ record: fillerRecord(n) }));
  const step = Math.floor(size / Math.max(1, versions.length));
  if (step === 0) throw new Error(`${versions.length} versions do not fit into a log of ${size} records`);
  for (const [index, version] of versions.entries()) records[index * step] = version;
  return records;
}

/** All stored hashes of the tree over these records. */
function hashesOf(records: readonly string[]): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (const [id, record] of records.entries()) {
    const before = storedHashIndexesFor(id).map((index) => hashes[index] ?? new Uint8Array());
    hashes.push(...storedHashesFor(id, recordHash(record), before));
  }
  return hashes;
}
