import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import type { PostgresDatabase } from "../postgres/database.ts";
import { isImpossible } from "../postgres/problem.ts";
import type { PostgresLedger } from "./postgres.ts";
import type { LedgerWrite, WriteOutcome } from "./postgres-writes.ts";
import type { QueuedWrite, WriteQueue } from "./write-queue.ts";

export interface CatchUpOptions {
  readonly queue: WriteQueue;
  readonly ledger: PostgresLedger;
  readonly database: PostgresDatabase;
  readonly clock: Clock;
  readonly events: Events;
  /** How long `write` waits. */
  readonly timeoutMs: number;
  /**
   * Told of what is written and was not waited for. Answers undefined when there is nothing to do; told again, perhaps by the next
   * process, when what it does fails or does not come to its end.
   */
  readonly onLate: (write: LedgerWrite, outcome: WriteOutcome) => Promise<void> | undefined;
}

const maxTogether = 200;
const retryMs = 1000;

/**
 * Brings writes into the shared ledger, in the order in which they came, through a queue on the disk: whoever writes need not
 * wait longer than is worth it, and what cannot be written now is written later, by the next process if need be.
 */
export class CatchUp {
  readonly #options: CatchUpOptions;
  readonly #waiting = new Map<number, (outcome: WriteOutcome | undefined) => void>();
  readonly #closing = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #isRunning = false;
  /** Somebody has waited in vain: nobody waits until it goes on. */
  #isLate = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
    options.database.onUp(() => this.begin());
  }

  /** Undefined when it is written later. */
  async write(write: LedgerWrite): Promise<WriteOutcome | undefined> {
    const { queue, clock, database } = this.#options;
    const number = queue.add(write, clock.now());
    if (!database.isUp || this.#isLate) return undefined;
    let outcome: WriteOutcome | undefined;
    const written = Promise.withResolvers<void>();
    this.#waiting.set(number, (answer) => {
      outcome ??= answer;
      written.resolve();
    });
    this.begin();
    const answered = new AbortController();
    const tooLate = clock.sleep(this.#options.timeoutMs, answered.signal).then(
      () => void (this.#isLate = true),
      () => undefined,
    );
    try {
      await Promise.race([written.promise, tooLate, this.#running]);
      return outcome;
    } finally {
      answered.abort();
      this.#waiting.delete(number);
    }
  }

  /** Never fails and never waits. */
  begin(): void {
    if (this.#isRunning || this.#closing.signal.aborted) return;
    this.#isRunning = true;
    this.#running = this.#run();
  }

  /** What is under way is finished, the rest stays in the queue. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** Never fails. */
  async #run(): Promise<void> {
    const { clock, database } = this.#options;
    const { signal } = this.#closing;
    let written = 0;
    while (!signal.aborted && database.isUp) {
      try {
        if (this.#options.queue.next(1).length === 0) {
          this.#isLate = false;
          break;
        }
        written += await this.#writeSome(maxTogether);
        this.#isLate = false;
      } catch (error) {
        if (!database.isUp) break;
        this.#tell(error);
        await clock.sleep(retryMs, signal).catch(() => undefined);
      }
    }
    // In the same turn in which the queue was found empty, so that what comes next begins anew.
    this.#isRunning = false;
    if (written > maxTogether) {
      this.#options.events.emit({ type: "ledger_caught_up", ledger: database.name, writes: written });
    }
  }

  async #writeSome(limit: number): Promise<number> {
    const { queue, ledger } = this.#options;
    let batch: readonly QueuedWrite[] = [];
    let outcomes: readonly WriteOutcome[];
    try {
      outcomes = await ledger.applyQueued(queue.name, () => {
        batch = queue.next(limit);
        return batch.map(({ write }) => write);
      });
    } catch (error) {
      if (!isImpossible(error)) throw error;
      if (batch.length > 1) return this.#writeSome(1);
      // Whatever it is, it must not keep the others from being written.
      this.#tell(error);
      queue.remove(batch);
      return batch.length;
    }
    const late: { readonly write: LedgerWrite; readonly outcome: WriteOutcome }[] = [];
    for (const [index, { number, write }] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) continue;
      const waiting = this.#waiting.get(number);
      if (waiting === undefined) late.push({ write, outcome });
      else waiting(outcome);
    }
    for (const { write, outcome } of late) {
      const wasLate = this.#isLate;
      // What is written meanwhile comes behind this batch, so nobody waits for that, `onLate` itself least of all.
      this.#isLate = true;
      const work = this.#options.onLate(write, outcome);
      if (work === undefined) {
        this.#isLate = wasLate;
        continue;
      }
      for (const release of this.#waiting.values()) release(undefined);
      await work;
    }
    queue.remove(batch);
    return batch.length;
  }

  #tell(cause: unknown): void {
    const { ledger, events } = this.#options;
    const error = isSluiceError(cause) ? cause : new SluiceError("storage_failed", String(cause), { cause });
    events.emit({ type: "store_failed", store: ledger.name, operation: "catch up", error });
  }
}
