import { Buffer } from "node:buffer";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type {
  ForkEvidence,
  LogRecord,
  LogTree,
  NewLogRecord,
  SignedTree,
  SumStore,
  SumStoreOverview,
} from "../../core/ports.ts";
import { parseModulePath, parseVersion } from "../../protocol/module/index.ts";
import { treeHashIndexes, treeHashOf } from "../../protocol/sumdb/index.ts";
import { GrowingTree } from "./growing-tree.ts";
import type { LockedLog, PostgresLogs } from "./postgres-logs.ts";
import { isRefusal } from "./refusal.ts";

export interface SharedSumStoreOptions {
  /** Of this node: how far others were followed, and a copy of our own log. */
  readonly local: SumStore;
  readonly logs: PostgresLogs;
}

/** In one transaction, which others wait for. */
const broughtTogether = 10_000;

/**
 * A `SumStore` of one node whose own log is that of all nodes: PostgreSQL has its records in order, and each node a copy with
 * all hashes in it, which is brought up to date whenever the log is looked at. While the database is not there the copy answers,
 * and nothing new enters the log.
 *
 * How far the logs of others were followed is each node's own, as it has to be when the database is gone.
 */
export class SharedSumStore implements SumStore {
  readonly name: string;
  readonly #local: SumStore;
  readonly #logs: PostgresLogs;
  #isClosed = false;

  constructor({ local, logs }: SharedSumStoreOptions) {
    this.#local = local;
    this.#logs = logs;
    this.name = `${local.name} and ${logs.name}`;
  }

  tree(database: string): Promise<SignedTree | undefined> {
    return this.#local.tree(database);
  }

  setTree(database: string, tree: SignedTree, previousSize: number): Promise<boolean> {
    return this.#local.setTree(database, tree, previousSize);
  }

  addFork(database: string, evidence: ForkEvidence): Promise<void> {
    return this.#local.addFork(database, evidence);
  }

  forks(database: string): Promise<ForkEvidence[]> {
    return this.#local.forks(database);
  }

  forgetTree(database: string): Promise<void> {
    return this.#local.forgetTree(database);
  }

  async logTree(log: string): Promise<LogTree> {
    const isCurrent = await this.#look(log);
    const tree = await this.#local.logTree(log);
    return isCurrent ? tree : { ...tree, isBehind: true };
  }

  async findRecord(log: string, modulePath: ModulePath, version: Version): Promise<LogRecord | undefined> {
    const known = await this.#local.findRecord(log, modulePath, version);
    if (known !== undefined || !(await this.#look(log))) return known;
    return this.#local.findRecord(log, modulePath, version);
  }

  async appendRecords(log: string, records: readonly NewLogRecord[]): Promise<LogRecord[]> {
    if (this.#isClosed || records.length === 0) return this.#local.appendRecords(log, records);
    for (let appended: Appended | undefined; appended === undefined;) {
      // What is missing here is mostly copied before others are kept waiting.
      await this.#update(log);
      appended = await this.#logs.locked(log, (locked) => this.#append(log, locked, records));
      // From here on it is in the log, whether it comes into the copy now or later.
      const { size } = await this.#local.logTree(log);
      if (appended !== undefined && appended.at === size) await this.#local.appendRecords(log, appended.records);
    }
    return Promise.all(records.map((record) => this.#standing(log, record)));
  }

  records(log: string, start: number, end: number): Promise<string[]> {
    return this.#local.records(log, start, end);
  }

  treeHashes(log: string, indexes: readonly number[]): Promise<Uint8Array[]> {
    return this.#local.treeHashes(log, indexes);
  }

  overview(): Promise<SumStoreOverview> {
    return this.#local.overview();
  }

  /** Of what this node cannot do without. */
  check(): Promise<void> {
    return this.#local.check();
  }

  /** Does not close the database. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#local.close();
  }

  /** Brings the copy up to date. Answers whether it is: not while the database is not there. */
  async #look(log: string): Promise<boolean> {
    if (this.#isClosed || !this.#logs.isUp) return false;
    try {
      await this.#update(log);
      return true;
    } catch (error) {
      // What keeps the copy itself from being read shows when it is.
      if (isSluiceError(error, "storage_failed") && !isRefusal(error)) return false;
      throw error;
    }
  }

  async #update(log: string): Promise<void> {
    // In this order: the copy is never ahead of the log, unless the database has lost something.
    const ours = await this.#local.logTree(log);
    const committed = await this.#logs.tree(log);
    if (isSame(ours, committed)) return;
    if (ours.size > committed.size) return this.#bringBack(log);
    const read = (): AsyncIterable<readonly NewLogRecord[]> => this.#logs.records(log, ours.size, committed.size);
    await this.#checkContinues(log, { ours, committed, pages: read() });
    for await (const page of read()) await this.#copy(log, page);
  }

  /** What is here and not there: the log of a node that shares it from now on, or what a database has lost that was put back from an old copy. */
  async #bringBack(log: string): Promise<void> {
    for (let isComplete = false; !isComplete;) {
      isComplete = await this.#logs.locked(log, (locked) => this.#bringSomeBack(log, locked));
    }
  }

  /** Answers whether nothing is left. */
  async #bringSomeBack(log: string, locked: LockedLog): Promise<boolean> {
    const ours = await this.#local.logTree(log);
    const { size } = locked.tree;
    if (size >= ours.size) return true;
    if (!isSame(await this.#treeAt(log, size), locked.tree)) throw this.#forked(log, ours, locked.tree);
    const end = Math.min(ours.size, size + broughtTogether);
    const texts = await this.#local.records(log, size, end);
    await locked.append(texts.map(recordOf), await this.#treeAt(log, end));
    return end === ours.size;
  }

  /** Undefined when the database has lost records meanwhile, which come first. */
  async #append(log: string, locked: LockedLog, records: readonly NewLogRecord[]): Promise<Appended | undefined> {
    const ours = await this.#local.logTree(log);
    if (ours.size > locked.tree.size) return undefined;
    if (!isSame(ours, locked.tree)) {
      const read = (): AsyncIterable<readonly NewLogRecord[]> => locked.records(ours.size);
      await this.#checkContinues(log, { ours, committed: locked.tree, pages: read() });
      for await (const page of read()) await this.#copy(log, page);
    }
    const { size } = locked.tree;
    const added = await this.#withoutKnown(log, records);
    if (added.length === 0) return { at: size, records: [] };
    const growing = await this.#growingFrom(log, size);
    for (const { text } of added) growing.add(text);
    await locked.append(added, growing.tree);
    return { at: size, records: added };
  }

  /** Before anything of it is copied. */
  async #checkContinues(
    log: string,
    { ours, committed, pages }: { ours: LogTree; committed: LogTree; pages: AsyncIterable<readonly NewLogRecord[]> },
  ): Promise<void> {
    const growing = await this.#growingFrom(log, ours.size);
    for await (const page of pages) for (const { text } of page) growing.add(text);
    if (!isSame(growing.tree, committed)) throw this.#forked(log, ours, committed);
  }

  /** Another process of this node may do the same at the same time: a record that is here already stays where it is. */
  async #copy(log: string, page: readonly NewLogRecord[]): Promise<void> {
    await this.#local.appendRecords(log, page);
  }

  /** The copy has all of the log here: what it does not know is new. */
  async #withoutKnown(log: string, records: readonly NewLogRecord[]): Promise<NewLogRecord[]> {
    const added = new Map<string, NewLogRecord>();
    for (const record of records) {
      const { modulePath, version } = record;
      const name = `${modulePath}@${version}`;
      if (!added.has(name) && (await this.#local.findRecord(log, modulePath, version)) === undefined) {
        added.set(name, record);
      }
    }
    return [...added.values()];
  }

  async #standing(log: string, { modulePath, version }: NewLogRecord): Promise<LogRecord> {
    const record = await this.findRecord(log, modulePath, version);
    if (record !== undefined) return record;
    throw new SluiceError(
      "storage_failed",
      `${modulePath}@${version} entered the log ${JSON.stringify(log)}, and cannot be read back now: ask again`,
      { retryAfterSeconds: 1 },
    );
  }

  async #growingFrom(log: string, size: number): Promise<GrowingTree> {
    return new GrowingTree(size, await this.#local.treeHashes(log, treeHashIndexes(size)));
  }

  /** What the copy was when it had so many records. */
  async #treeAt(log: string, size: number): Promise<LogTree> {
    return { size, hash: treeHashOf(size, await this.#local.treeHashes(log, treeHashIndexes(size))) };
  }

  #forked(log: string, ours: LogTree, committed: LogTree): SluiceError {
    return new SluiceError(
      "storage_failed",
      `the log ${JSON.stringify(log)} in ${this.#local.name} has ${ours.size} records, and that in ${this.#logs.name} has ${committed.size}, ` +
        "of which neither are the beginning of the other. Go commands that see both would report a fork, so neither is served. " +
        "Find out which of the two go commands have seen; for another log, take another name and key.",
      { details: { log, ours: ours.size, committed: committed.size, mayMove: false } },
    );
  }
}

interface Appended {
  /** The number of the first of them. */
  readonly at: number;
  readonly records: readonly NewLogRecord[];
}

/** Of its text, which begins with both. */
function recordOf(text: string): NewLogRecord {
  const [path = "", version = ""] = text.split(" ", 2);
  return { modulePath: parseModulePath(path), version: parseVersion(version), text };
}

function isSame(a: LogTree, b: LogTree): boolean {
  return a.size === b.size && Buffer.compare(a.hash, b.hash) === 0;
}
