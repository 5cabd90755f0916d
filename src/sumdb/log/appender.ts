import { setImmediate } from "node:timers/promises";
import type { Events } from "../../core/events.ts";
import type { LogRecord, NewLogRecord, SumStore } from "../../core/ports.ts";

export interface AppenderOptions {
  readonly log: string;
  readonly store: SumStore;
  readonly events: Events;
}

interface Waiting {
  readonly record: NewLogRecord;
  readonly resolve: (record: LogRecord) => void;
  readonly reject: (error: unknown) => void;
}

/** So many take some milliseconds, in which nothing else is answered. */
const maxTogether = 128;

/** Gathers the records of many askers: what comes in while a transaction is under way goes into the next one together. */
export class Appender {
  readonly #options: AppenderOptions;
  #waiting: Waiting[] = [];
  #isWriting = false;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** The record that stands for this version, once it is on the disk. Records are appended in the order of the calls. */
  append(record: NewLogRecord): Promise<LogRecord> {
    const { promise, resolve, reject } = Promise.withResolvers<LogRecord>();
    this.#waiting.push({ record, resolve, reject });
    if (!this.#isWriting) void this.#writeAll();
    return promise;
  }

  /** Never fails: each asker has its own failure. */
  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      // Whatever else this turn of the event loop brings shares the transaction.
      await setImmediate();
      await this.#write(this.#waiting.splice(0, maxTogether));
    }
    this.#isWriting = false;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const { log, store, events } = this.#options;
    try {
      const { size: before } = await store.logTree(log);
      const records = await store.appendRecords(
        log,
        batch.map(({ record }) => record),
      );
      for (const [index, { resolve, reject }] of batch.entries()) {
        const record = records[index];
        if (record === undefined) reject(new Error(`${store.name} did not answer for all records`));
        else resolve(record);
      }
      const ids = new Set(records.map(({ id }) => id).filter((id) => id >= before));
      if (ids.size > 0) events.emit({ type: "sum_appended", log, records: ids.size, size: Math.max(...ids) + 1 });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
