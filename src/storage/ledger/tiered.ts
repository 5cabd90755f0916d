import type { H1 } from "../../protocol/brand.ts";
import { isSluiceError } from "../../core/errors.ts";
import type { PartHealth } from "../../core/health.ts";
import type { Events } from "../../core/events.ts";
import type { BlobKey, Clock, FileFacts, Freshness, Ledger, UnverifiedFile } from "../../core/ports.ts";
import { tellFailure } from "../failures.ts";
import type { PostgresDatabase } from "../postgres/database.ts";
import { CatchUp } from "./catch-up.ts";
import { mergeByKey } from "./merge-by-key.ts";
import type { PostgresLedger } from "./postgres.ts";
import type { LedgerWrite, WriteOutcome } from "./postgres-writes.ts";
import type { WriteQueue } from "./write-queue.ts";

export interface TieredLedgerOptions {
  /** Of this node: what is on its own disk. */
  readonly local: Ledger;
  /** Of all nodes. */
  readonly shared: PostgresLedger;
  readonly database: PostgresDatabase;
  readonly queue: WriteQueue;
  readonly clock: Clock;
  readonly events: Events;
  /** How long a write waits for the shared ledger before it is left to the queue. */
  readonly timeoutMs: number;
  /**
   * Another node turned out to have been first with another content, after ours was answered as kept: the file with this h1 is to
   * be taken out of the store, and `settle` puts the facts that stand into the place of ours. When it fails it is called again.
   */
  readonly onConflict: (ours: FileFacts, settle: () => Promise<void>) => Promise<void>;
}

const seedTogether = 500;

/** Closing it closes both ledgers, the database and the queue. */
export async function openTieredLedger(options: TieredLedgerOptions): Promise<TieredLedger> {
  await seed(options);
  return new TieredLedger(options);
}

/**
 * A ledger of one node in front of the one that all nodes share. Whatever happens to the shared one, this node goes on, with
 * what it knows itself; its writes wait on its disk until they can be made.
 *
 * What a node knows of its own files comes first. Facts of others say what a file must be that is not here. Who was first is
 * decided by the shared ledger, by h1: the same module packed in another way is no conflict.
 */
export class TieredLedger implements Ledger {
  readonly name: string;
  readonly #options: TieredLedgerOptions;
  readonly #catchUp: CatchUp;
  readonly #closing = new AbortController();

  constructor(options: TieredLedgerOptions) {
    this.#options = options;
    this.name = `${options.local.name} and ${options.shared.name}`;
    this.#catchUp = new CatchUp({
      ...options,
      ledger: options.shared,
      onLate: (write, outcome) => this.#settleLate(write, outcome),
    });
    this.#catchUp.begin();
  }

  async facts(key: BlobKey): Promise<FileFacts | undefined> {
    const { local, shared } = this.#options;
    return (await local.facts(key)) ?? (await this.#elsewhere(key, () => shared.facts(key)));
  }

  async addFacts(facts: FileFacts): Promise<FileFacts> {
    const { local } = this.#options;
    const outcome = this.#write({ kind: "addFacts", facts });
    const ours = await local.addFacts(facts);
    const standing = (await outcome)?.standing;
    return standing === undefined ? ours : this.#settle(ours, standing);
  }

  async removeFacts(key: BlobKey, sha256?: string): Promise<boolean> {
    const { local } = this.#options;
    // What others have recorded meanwhile is not what is meant.
    const known = sha256 ?? (await this.facts(key))?.sha256;
    if (known === undefined) return false;
    const outcome = this.#write({ kind: "removeFacts", key, sha256: known });
    const isRemoved = await local.removeFacts(key, sha256);
    return (await outcome)?.isChanged === true || isRemoved;
  }

  async freshness(key: BlobKey): Promise<Freshness | undefined> {
    const { local, shared } = this.#options;
    const ours = await local.freshness(key);
    const theirs = await this.#elsewhere(key, () => shared.freshness(key));
    if (theirs === undefined || theirs.checkedAt <= (ours?.checkedAt ?? -1)) return ours;
    if (theirs.sha256 === ours?.sha256) return { ...theirs, previousSha256: ours.previousSha256 };
    return { ...theirs, isElsewhere: true };
  }

  async setFreshness({ key, sha256, source, checkedAt }: Freshness): Promise<void> {
    const outcome = this.#write({ kind: "setFreshness", freshness: { key, sha256, source, checkedAt } });
    await this.#options.local.setFreshness({ key, sha256, source, checkedAt });
    await outcome;
  }

  async removeFreshness(key: BlobKey): Promise<boolean> {
    const { local, clock } = this.#options;
    const outcome = this.#write({ kind: "removeFreshness", key, until: clock.now() });
    const isRemoved = await local.removeFreshness(key);
    return (await outcome)?.isChanged === true || isRemoved;
  }

  touch(key: BlobKey, usedAt: number): void {
    const { local, shared } = this.#options;
    local.touch(key, usedAt);
    shared.touch(key, usedAt);
  }

  /** Of all nodes: what is clean-up here may be in use elsewhere. */
  async lastUsed(key: BlobKey): Promise<number | undefined> {
    const { local, shared } = this.#options;
    const times = [await local.lastUsed(key), await this.#unlessDown(() => shared.lastUsed(key))];
    const usedAt = Math.max(...times.map((time) => time ?? -1));
    return usedAt < 0 ? undefined : usedAt;
  }

  /** Those of this node first where both have them. While the shared ledger is not there, those of this node. */
  listFacts(prefix: string): AsyncIterable<FileFacts> {
    const { local, shared } = this.#options;
    return mergeByKey(local.listFacts(prefix), this.#listUnlessDown(shared.listFacts(prefix)));
  }

  async addUnverified(file: UnverifiedFile): Promise<void> {
    const outcome = this.#write({ kind: "addUnverified", file });
    await this.#options.local.addUnverified(file);
    await outcome;
  }

  async unverified(key: BlobKey): Promise<UnverifiedFile | undefined> {
    const { local, shared } = this.#options;
    return (await local.unverified(key)) ?? (await this.#elsewhere(key, () => shared.unverified(key)));
  }

  async removeUnverified(key: BlobKey, h1?: H1): Promise<boolean> {
    const { local } = this.#options;
    const known = h1 ?? (await this.unverified(key))?.h1;
    if (known === undefined) return false;
    const outcome = this.#write({ kind: "removeUnverified", key, h1: known });
    const isRemoved = await local.removeUnverified(key, h1);
    return (await outcome)?.isChanged === true || isRemoved;
  }

  async listUnverified(after: BlobKey, limit: number): Promise<UnverifiedFile[]> {
    const { local, shared } = this.#options;
    const ours = await local.listUnverified(after, limit);
    const theirs = (await this.#unlessDown(() => shared.listUnverified(after, limit))) ?? [];
    return (await Array.fromAsync(mergeByKey(ours, theirs))).slice(0, limit);
  }

  /** At least so many: marks of this node and of all nodes are counted apart, and most are the same. */
  async countUnverified(): Promise<number> {
    const { local, shared } = this.#options;
    const theirs = await this.#unlessDown(() => shared.countUnverified());
    return Math.max(await local.countUnverified(), theirs ?? 0);
  }

  /** Of what this node cannot do without. */
  check(): Promise<void> {
    return this.#options.local.check();
  }

  health(): readonly PartHealth[] {
    const { database, queue, clock, timeoutMs } = this.#options;
    const health = database.health();
    const { writes, since } = queue.length();
    // Those that are just being written are no news.
    if (writes === 0 || clock.now() - since < 10 * timeoutMs) return [health];
    const waiting = `${writes} writes of this node wait for it, the oldest since ${new Date(since).toISOString()}`;
    const state = health.state === "ok" ? "degraded" : health.state;
    return [{ ...health, state, detail: `${health.detail}; ${waiting}` }];
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    const { local, shared, queue } = this.#options;
    await this.#catchUp.close();
    await shared.close();
    queue.close();
    await local.close();
  }

  /** A queue that cannot be written is told, and the write is this node's alone. */
  async #write(write: LedgerWrite): Promise<WriteOutcome | undefined> {
    // A closed ledger says so itself.
    if (this.#closing.signal.aborted) return undefined;
    try {
      return await this.#catchUp.write(write);
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      tellFailure(this.#options.events, this.name, error);
      return undefined;
    }
  }

  /** What the shared ledger says of a file or record, unless something newer of ours waits to be written there. */
  #elsewhere<T>(key: BlobKey, read: () => Promise<T | undefined>): Promise<T | undefined> {
    return this.#options.queue.has(key) ? Promise.resolve(undefined) : this.#unlessDown(read);
  }

  /** The database itself tells that it is down, once. */
  async #unlessDown<T>(read: () => Promise<T>): Promise<T | undefined> {
    if (!this.#options.database.isUp) return undefined;
    try {
      return await read();
    } catch (error) {
      if (isSluiceError(error, "storage_failed")) return undefined;
      throw error;
    }
  }

  async *#listUnlessDown<T>(list: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* list;
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
    }
  }

  /** Answers what stands, for a file that is just being kept: whoever keeps it sets it aside when that is another one. */
  async #settle(ours: FileFacts, standing: FileFacts): Promise<FileFacts> {
    if (standing.sha256 !== ours.sha256 && !isConflict(ours, standing)) return ours;
    if (isConflict(ours, standing)) this.#tellConflict(ours, standing);
    return isSame(ours, standing) ? ours : this.#replace(ours, standing);
  }

  async #replace(ours: FileFacts, standing: FileFacts): Promise<FileFacts> {
    const { local } = this.#options;
    // The same module may be packed in another way by now.
    const known = await local.facts(ours.key);
    if (known?.h1 === ours.h1) await local.removeFacts(ours.key, known?.sha256);
    return local.addFacts(standing);
  }

  #settleLate(write: LedgerWrite, { standing }: WriteOutcome): Promise<void> | undefined {
    if (write.kind !== "addFacts" || standing === undefined) return undefined;
    const { facts: ours } = write;
    if (!isConflict(ours, standing)) return undefined;
    this.#tellConflict(ours, standing);
    return this.#options.onConflict(ours, async () => {
      await this.#replace(ours, standing);
      await this.removeUnverified(ours.key, ours.h1);
    });
  }

  #tellConflict(ours: FileFacts, standing: FileFacts): void {
    this.#options.events.emit({
      type: "ledger_conflict",
      key: ours.key,
      h1: ours.h1 ?? "",
      source: ours.source,
      standingH1: standing.h1 ?? "",
      standingSource: standing.source,
    });
  }
}

/** What this node knew before it shared a ledger is told to the others once. */
async function seed({ local, queue, clock, events }: TieredLedgerOptions): Promise<void> {
  try {
    if (queue.isSeeded) return;
    for (let after = ""; ;) {
      const files = await local.listUnverified(after, seedTogether);
      const last = files.at(-1);
      if (last === undefined) break;
      queue.addAll(
        files.map((file) => ({ kind: "addUnverified", file })),
        clock.now(),
      );
      after = last.key;
    }
    let page: LedgerWrite[] = [];
    for await (const facts of local.listFacts("")) {
      page.push({ kind: "addFacts", facts });
      if (page.length < seedTogether) continue;
      queue.addAll(page, clock.now());
      page = [];
    }
    queue.addAll(page, clock.now());
    queue.markSeeded();
  } catch (error) {
    if (!isSluiceError(error, "storage_failed")) throw error;
    tellFailure(events, queue.name, error);
  }
}

/** `.info` has no h1: what counts of it is in the files of its version. */
function isConflict(ours: FileFacts, standing: FileFacts): boolean {
  return ours.h1 !== undefined && standing.h1 !== undefined && ours.h1 !== standing.h1;
}

function isSame(ours: FileFacts, standing: FileFacts): boolean {
  return (
    ours.source === standing.source && ours.firstSeenAt === standing.firstSeenAt && ours.sha256 === standing.sha256
  );
}
