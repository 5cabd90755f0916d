import { readCentralDirectory } from "./central-directory.ts";
import { readContent, streamContent } from "./content.ts";
import { readEndRecord } from "./end-record.ts";
import { maxZipBytes } from "./limits.ts";
import { locateEntries, type LocatedEntry } from "./local-headers.ts";
import { checkModuleNames } from "./module-names.ts";
import { zipPrefix, type ZipModule } from "./module-version.ts";
import { zipTooLarge } from "./problem.ts";
import type { RandomAccess } from "./random-access.ts";

/** One entry of a module zip. `size` is what it unpacks to, in bytes, `name` the full name `P@V/path`. */
export interface ZipEntry extends LocatedEntry {
  /** Relative to the module's root. Empty or with a slash at the end for a folder. */
  readonly path: string;
  readonly isDirectory: boolean;
}

/** A module zip whose structure and names are right. Contents are checked as they are read. */
export interface ModuleZip {
  /** In the order of the file. */
  readonly entries: readonly ZipEntry[];
  /** Of all entries, in bytes. */
  readonly unpackedBytes: number;
  /** Of the archive: any bytes, such as the commit id that `git archive` leaves there. */
  readonly comment: Uint8Array;
  /** The content of one entry, its size and CRC-32 verified. May be a view of the source: do not change it. */
  read(entry: ZipEntry): Uint8Array;
  /** The same in pieces; the last one comes only if size and CRC-32 are right. Memory does not grow with the entry. */
  stream(entry: ZipEntry): AsyncIterable<Uint8Array>;
}

/**
 * Reads a module zip and trusts nothing in it. Every byte of the file must belong to exactly one record, every local header
 * must say what the central directory says, and names and sizes must obey the module rules (SPEC §5.5), so that every reader
 * that accepts the zip at all sees the same files in it. What this accepts, go accepts with the same h1.
 *
 * Only what go's and other known writers really make is taken: methods store and deflate, zip64 records where they agree with
 * the rest, data descriptors in their four forms, archive and entry comments, extra fields. Attributes are ignored, as in go.
 *
 * Throws `malformed_path` or `malformed_version` for the module, `zip_too_large` above a limit, else `malformed_zip`. The
 * messages are one line and name the entry, what was found and what was expected.
 */
export function readZip(source: RandomAccess, module: ZipModule): ModuleZip {
  const prefix = zipPrefix(module);
  if (source.size > maxZipBytes) {
    throw zipTooLarge(`module zip file is too large (${source.size} bytes; limit is ${maxZipBytes} bytes)`);
  }
  const end = readEndRecord(source);
  const directory = readCentralDirectory(source, end);
  checkModuleNames(directory, prefix);
  const entries = locateEntries(source, directory, end.directoryOffset).map((entry) => ({
    ...entry,
    path: entry.name.slice(prefix.length),
    isDirectory: entry.name.endsWith("/"),
  }));
  return {
    entries,
    unpackedBytes: entries.reduce((sum, entry) => sum + entry.size, 0),
    comment: end.comment,
    read: (entry) => readContent(source, entry),
    stream: (entry) => streamContent(source, entry),
  };
}
