import { SluiceError } from "../../core/errors.ts";
import type { PartHealth } from "../../core/health.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import { migratePostgres } from "./migrate.ts";
import { Pool, type PoolOptions, type Statements } from "./pool.ts";
import { isDropped, isMisconfigured, isUnreachable, NoAnswerError, postgresError, reasonOf } from "./problem.ts";
import { postgresMigrations } from "./schema.ts";

export interface PostgresOptions extends Pick<PoolOptions, "url" | "password" | "authorities" | "refusal"> {
  /** Printable, without user and password: `postgres://db.example.com/sluice`. */
  readonly name: string;
  /** Half of them for reads that somebody waits for, half for writes. */
  readonly connections: number;
  /** How long such a read may take. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly events: Events;
  /** Tests bring others. */
  readonly migrations?: readonly string[];
}

interface Down {
  /** Milliseconds since the epoch. */
  readonly since: number;
  readonly reason: string;
}

const connectTimeoutMs = 5000;
const probeTimeoutMs = 5000;
const writeTimeoutMs = 15_000;
const migrationTimeoutMs = 10 * 60_000;
const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** After a read that took too long nobody is made to wait again for a while, though the server answers. */
const restMs = 5000;

/**
 * A PostgreSQL database that may go away at any time. Once it does not answer, everything asked of it fails at once with
 * `storage_failed`, until it is found to answer again in the background.
 */
export class PostgresDatabase {
  readonly name: string;
  readonly #options: PostgresOptions;
  readonly #reads: Pool;
  readonly #writes: Pool;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<() => void>();
  #down: Down | undefined;
  #restsUntil = 0;
  #isMigrated = false;
  #recovering: Promise<void> | undefined;

  constructor(options: PostgresOptions) {
    const { name, connections } = options;
    this.name = name;
    this.#options = options;
    const half = Math.max(1, Math.floor(connections / 2));
    const common = { ...options, connections: half, connectTimeoutMs };
    this.#reads = new Pool({ ...common, statementTimeoutMs: writeTimeoutMs });
    this.#writes = new Pool({ ...common, statementTimeoutMs: writeTimeoutMs });
  }

  /**
   * Brings the schema up to date. A server that cannot be reached is gone on without; `storage_failed` for what only an
   * operator can change, such as a wrong password or the schema of a newer Sluice.
   */
  async open(): Promise<void> {
    try {
      await this.#probe();
    } catch (error) {
      if (!isUnreachable(error) || isMisconfigured(error)) {
        await this.close();
        throw postgresError("open", this.name, error);
      }
      this.#fail(error);
    }
  }

  /** It answered when it was asked last. */
  get isUp(): boolean {
    return this.#down === undefined && this.#isMigrated && !this.#closing.signal.aborted;
  }

  /** Undefined while it answers. */
  get down(): Down | undefined {
    return this.#down;
  }

  /** Each time it answers again. */
  onUp(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** For what somebody waits for: ends within the configured time. `work` may be done twice. */
  async read<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#options;
    if (clock.now() < this.#restsUntil) throw this.#unavailable("it has just been too slow");
    try {
      return await this.#use("read", () => this.#reads.run(timeoutMs, work));
    } catch (error) {
      if (error instanceof SluiceError && error.cause instanceof NoAnswerError) this.#restsUntil = clock.now() + restMs;
      throw error;
    }
  }

  /** In one transaction, within some seconds. `work` may be done twice. */
  write<T>(work: (sql: Statements) => Promise<T>): Promise<T> {
    return this.#use("write", () =>
      this.#writes.run(writeTimeoutMs, async (sql) => {
        let result: { readonly of: T } | undefined;
        await sql.begin(async (transaction) => {
          result = { of: await work(transaction) };
        });
        if (result === undefined) throw new Error("the transaction did nothing");
        return result.of;
      }),
    );
  }

  health(): PartHealth {
    const part = `database ${this.name}`;
    if (this.#down === undefined) return { part, state: "ok", detail: "answers", isNeeded: false };
    const since = new Date(this.#down.since).toISOString();
    return { part, state: "down", detail: `since ${since}: ${this.#down.reason}`, isNeeded: false };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    await this.#recovering;
    await Promise.all([this.#reads.letGo(), this.#writes.letGo()]);
  }

  async #use<T>(operation: string, work: () => Promise<T>): Promise<T> {
    for (let isRepeated = false; ; isRepeated = true) {
      if (this.#closing.signal.aborted) throw new SluiceError("storage_failed", `${this.name} is closed`);
      if (!this.isUp) throw this.#unavailable(this.#down?.reason ?? "it was not reached yet");
      try {
        return await work();
      } catch (error) {
        if (isDropped(error) && !isRepeated) continue;
        if (isUnreachable(error) || isMisconfigured(error)) this.#fail(error);
        throw postgresError(operation, this.name, error);
      }
    }
  }

  #unavailable(reason: string): SluiceError {
    return new SluiceError("storage_failed", `${this.name} is not asked now: ${reason}`, { retryAfterSeconds: 10 });
  }

  #fail(cause: unknown): void {
    if (this.#down !== undefined || this.#closing.signal.aborted) return;
    this.#tellDown(cause);
    this.#recovering = this.#recover();
  }

  #tellDown(cause: unknown): void {
    const { clock, events } = this.#options;
    const reason = reasonOf(cause);
    this.#down = { since: this.#down?.since ?? clock.now(), reason };
    events.emit({ type: "database_state", database: this.name, state: "down", reason });
  }

  /** Never fails. One runs exactly while the database is down. */
  async #recover(): Promise<void> {
    const { clock, events } = this.#options;
    const { signal } = this.#closing;
    for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        await this.#probe();
        break;
      } catch (error) {
        if (signal.aborted) return;
        // Of the same outage, each new reason is told once.
        if (reasonOf(error) !== this.#down?.reason) this.#tellDown(error);
      }
      // Nodes that lost it together do not come back in step.
      await clock.sleep(pauseMs * (0.75 + Math.random() / 2), signal).catch(() => undefined);
    }
    if (signal.aborted) return;
    this.#down = undefined;
    events.emit({ type: "database_state", database: this.name, state: "up" });
    for (const listener of this.#listeners) listener();
  }

  async #probe(): Promise<void> {
    await this.#writes.run(probeTimeoutMs, (sql) => sql`SELECT 1`);
    if (this.#isMigrated) return;
    const { clock, migrations = postgresMigrations } = this.#options;
    await this.#writes.run(migrationTimeoutMs, (sql) =>
      migratePostgres(sql, { database: this.name, migrations, now: clock.now() }),
    );
    this.#isMigrated = true;
  }
}
