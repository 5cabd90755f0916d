import { Buffer } from "node:buffer";
import {
  emptyTreeHash,
  recordHash,
  storedHashCount,
  storedHashesFor,
  storedHashIndex,
  storedHashIndexesFor,
  treeHashIndexes,
  treeHashOf,
} from "../../protocol/sumdb/index.ts";
import type { LogRecord, LogTree, NewLogRecord } from "../../core/ports.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import type { Connection } from "./connection.ts";

/** What the database holds contradicts itself: it was damaged in a way that SQLite does not notice. */
export class DamagedLogError extends Error {
  override readonly name = "DamagedLogError";
}

/** Our own log of one name in an open database. Every method is to be called within one transaction, or alone. */
export class StoredLog {
  readonly #connection: Connection;
  readonly #name: string;
  /** Undefined as long as there is no record. */
  readonly #id: number | undefined;
  readonly #tree: LogTree;

  constructor(connection: Connection, name: string) {
    const row = connection.log.get(name);
    this.#connection = connection;
    this.#name = name;
    this.#id = row && Number(row["id"]);
    this.#tree = row ? { size: Number(row["size"]), hash: toBytes(row["hash"]) } : { size: 0, hash: emptyTreeHash };
  }

  /** Checked against the hashes it is made of: on those every later tree is built. */
  tree(): LogTree {
    const { size, hash } = this.#tree;
    if (!isSame(treeHashOf(size, this.hashes(treeHashIndexes(size))), hash)) {
      throw this.#damaged(`the tree of its ${size} records is not the one that was committed`);
    }
    return this.#tree;
  }

  find(modulePath: ModulePath, version: Version): LogRecord | undefined {
    const row = this.#connection.findRecord.get(this.#id ?? null, modulePath, version);
    return row && this.#checked(Number(row["id"]), String(row["text"]));
  }

  records(start: number, end: number): string[] {
    const rows = this.#connection.records.all(this.#id ?? null, start, end);
    if (rows.length !== end - start) throw this.#damaged(`it has not all of the records ${start} to ${end - 1}`);
    return rows.map((row) => this.#checked(Number(row["id"]), String(row["text"])).text);
  }

  hashes(indexes: readonly number[]): Uint8Array[] {
    return indexes.map((index) => this.#hash(index));
  }

  append(records: readonly NewLogRecord[]): LogRecord[] {
    const { size } = this.tree();
    const log = this.#id ?? Number(this.#connection.addLog.run(this.#name, emptyTreeHash).lastInsertRowid);
    const growing = new GrowingLog(this.#connection, { log, size, readHash: (index) => this.#hash(index) });
    const answers = records.map((record) => growing.add(record));
    growing.commit();
    return answers;
  }

  #checked(id: number, text: string): LogRecord {
    if (!isSame(recordHash(text), this.#hash(storedHashIndex(0, id)))) {
      throw this.#damaged(`its record ${id} is not the one that was committed`);
    }
    return { id, text };
  }

  #hash(index: number): Uint8Array {
    const row = this.#connection.treeHash.get(this.#id ?? null, index);
    if (row === undefined) throw this.#damaged(`its tree hash ${index} is missing`);
    return toBytes(row["hash"]);
  }

  #damaged(problem: string): DamagedLogError {
    return new DamagedLogError(`the log ${JSON.stringify(this.#name)} is damaged: ${problem}`);
  }
}

interface GrowingLogOptions {
  readonly log: number;
  readonly size: number;
  /** Of what stood before. */
  readonly readHash: (index: number) => Uint8Array;
}

/** A log to which records are appended in one transaction. */
class GrowingLog {
  readonly #connection: Connection;
  readonly #options: GrowingLogOptions;
  readonly #newHashes = new Map<number, Uint8Array>();
  #size: number;

  constructor(connection: Connection, options: GrowingLogOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#size = options.size;
  }

  /** The record that stands for this version, which is the given one when there was none. */
  add({ modulePath, version, text }: NewLogRecord): LogRecord {
    const { log } = this.#options;
    const known = this.#connection.findRecord.get(log, modulePath, version);
    if (known !== undefined) return { id: Number(known["id"]), text: String(known["text"]) };
    const id = this.#size;
    this.#connection.addRecord.run(log, id, modulePath, version, text);
    const hashes = storedHashesFor(id, recordHash(text), this.#hashes(storedHashIndexesFor(id)));
    for (const [offset, hash] of hashes.entries()) {
      const index = storedHashCount(id) + offset;
      this.#connection.addTreeHash.run(log, index, hash);
      this.#newHashes.set(index, hash);
    }
    this.#size += 1;
    return { id, text };
  }

  commit(): void {
    if (this.#size === this.#options.size) return;
    const hash = treeHashOf(this.#size, this.#hashes(treeHashIndexes(this.#size)));
    this.#connection.setLog.run(this.#size, hash, this.#options.log);
  }

  #hashes(indexes: readonly number[]): Uint8Array[] {
    return indexes.map((index) => this.#newHashes.get(index) ?? this.#options.readHash(index));
  }
}

export function toBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new DamagedLogError("a value that must be bytes is none");
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
