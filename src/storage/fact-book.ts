import type { H1 } from "../protocol/brand.ts";
import { SluiceError } from "../core/errors.ts";
import type { Events } from "../core/events.ts";
import type { BlobKey, Clock, FileFacts, Ledger, NewFacts, StoredUnverified, UnverifiedFile } from "../core/ports.ts";
import { attempt } from "./failures.ts";

export interface FactBookOptions {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly events: Events;
}

/**
 * What is known of immutable files. Facts outlive their file: when it is lost or broken, what is fetched in its place must be
 * the same. Without its ledger the store goes on, and checks files as if nothing were known of them.
 */
export class FactBook {
  readonly #options: FactBookOptions;

  constructor(options: FactBookOptions) {
    this.#options = options;
  }

  find(key: BlobKey): Promise<FileFacts | undefined> {
    const { ledger, events } = this.#options;
    return attempt(events, ledger.name, () => ledger.facts(key));
  }

  /** Answers the facts that stand. */
  async record(key: BlobKey, facts: NewFacts): Promise<FileFacts> {
    const { ledger, clock, events } = this.#options;
    const { size, sha256, h1, source } = facts;
    const added = { key, size, sha256, h1, source, firstSeenAt: clock.now() };
    return (await attempt(events, ledger.name, () => ledger.addFacts(added))) ?? added;
  }

  /** Records a file that was found without facts: whoever put it there may have put anything there. */
  async adopt(key: BlobKey, { h1, ...facts }: Pick<FileFacts, "size" | "sha256" | "h1">): Promise<FileFacts> {
    const { ledger, events } = this.#options;
    if (h1 !== undefined) await attempt(events, ledger.name, () => this.markUnverified(key, h1, "adopted"));
    return this.record(key, { ...facts, h1, source: "adopted" });
  }

  /** Records other facts than `known` for a file that was lost; `refuseChange` has allowed it. */
  async replace(known: FileFacts, facts: NewFacts): Promise<FileFacts> {
    const { ledger, events } = this.#options;
    const { key, sha256 } = known;
    const reason = `it was lost, and ${facts.source} has other bytes now (sha256 ${facts.sha256}, was ${sha256})`;
    events.emit({ type: "file_corrupt", key, reason });
    await attempt(events, ledger.name, () => ledger.removeFacts(key));
    return this.record(key, facts);
  }

  /** Records other bytes of the same h1 (for an `.info`, of the same version), which another node was first with. */
  async exchange(known: FileFacts, { size, sha256 }: Pick<FileFacts, "size" | "sha256">): Promise<FileFacts> {
    const { ledger, events } = this.#options;
    const { key, h1, source } = known;
    await attempt(events, ledger.name, () => ledger.removeFacts(key));
    return this.record(key, { size, sha256, h1, source });
  }

  /**
   * Before the facts of a file that no checksum database has confirmed, so that a crash in between loses the facts and not this.
   * A ledger that fails here fails with `storage_failed`.
   */
  async markUnverified(key: BlobKey, h1: H1, reason: string): Promise<void> {
    const { ledger, clock } = this.#options;
    await ledger.addUnverified({ key, h1, reason, since: clock.now() });
  }

  async confirm(key: BlobKey): Promise<void> {
    const { ledger, events } = this.#options;
    await attempt(events, ledger.name, () => ledger.removeUnverified(key));
  }

  async unverified(key: BlobKey): Promise<StoredUnverified | undefined> {
    const file = await this.#options.ledger.unverified(key);
    return file && this.#standing(file);
  }

  async listUnverified(after: BlobKey, limit: number): Promise<StoredUnverified[]> {
    const files = await this.#options.ledger.listUnverified(after, limit);
    return Promise.all(files.map((file) => this.#standing(file)));
  }

  /** With the h1 and source of the file that stands, which another writer may have been first with. */
  async #standing(file: UnverifiedFile): Promise<StoredUnverified> {
    const facts = await this.#options.ledger.facts(file.key);
    return { ...file, h1: facts?.h1 ?? file.h1, source: facts?.source ?? "unknown" };
  }

  countUnverified(): Promise<number> {
    return this.#options.ledger.countUnverified();
  }

  /** Nothing is known of the file any more. */
  async forget(key: BlobKey): Promise<void> {
    const { ledger, events } = this.#options;
    await attempt(events, ledger.name, async () => {
      await ledger.removeFacts(key);
      await ledger.removeUnverified(key);
    });
  }

  /**
   * What may take the place of a lost file: the same bytes; for a zip or a go.mod what has the same h1 (it was packed anew);
   * for an `.info`, which has no h1, what names the same version, which its parser has made sure of.
   */
  refuseChange(known: FileFacts, facts: NewFacts): void {
    if (known.sha256 === facts.sha256 || known.h1 === undefined || known.h1 === facts.h1) return;
    const { key } = known;
    const reason = `its h1 was ${known.h1} when ${known.source} sent it first, and is ${facts.h1 ?? "unknown"} now`;
    this.#options.events.emit({ type: "integrity_failed", key, source: facts.source, reason });
    throw new SluiceError("integrity", `${facts.source} sent another ${key} than the one served before: ${reason}`, {
      details: { expected: known.h1, found: facts.h1 },
    });
  }
}
