import postgres from "postgres";
import type { Secret } from "../../core/secret.ts";
import type { Clock } from "../../core/ports.ts";
import { isLostConnection, surviveLostWrites } from "./lost-write.ts";
import { NoAnswerError } from "./problem.ts";

export type Sql = postgres.Sql;
/** Statements of one transaction, or of none. */
export type Statements = postgres.ISql;

export interface PoolOptions {
  /** `postgres://user:password@host:port/database?sslmode=…`; several hosts are tried in turn. */
  readonly url: Secret;
  /** Instead of the one in the URL. */
  readonly password?: Secret | undefined;
  /** Certificates in PEM that may vouch for the server, for `sslmode=verify-ca` and `verify-full`. */
  readonly authorities: readonly string[];
  readonly connections: number;
  readonly connectTimeoutMs: number;
  /** After which the server ends a statement by itself. */
  readonly statementTimeoutMs: number;
  readonly clock: Clock;
  /** Asked before each use: what it fails with instead. For drills. */
  readonly refusal?: (() => Error | undefined) | undefined;
}

/** Unused connections are closed: a pool that was let go of must not leave any behind. */
const idleSeconds = 60;
/** A connection in a transaction whose client is gone must not keep its locks. */
const idleInTransactionMs = 15_000;

/**
 * Connections to PostgreSQL. The library puts a new statement behind one that hangs, so a pool in which one did not answer in
 * time is let go of as a whole, and so is one that lost a connection (`lost-write.ts`).
 */
export class Pool {
  readonly #options: PoolOptions;
  #sql: Sql | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Fails with `NoAnswerError`, or as `work` does. */
  async run<T>(timeoutMs: number, work: (sql: Sql) => Promise<T>): Promise<T> {
    const refusal = this.#options.refusal?.();
    if (refusal !== undefined) throw refusal;
    const sql = (this.#sql ??= connect(this.#options));
    const answered = new AbortController();
    try {
      return await Promise.race([work(sql), this.#noAnswer(timeoutMs, answered.signal)]);
    } catch (error) {
      if ((error instanceof NoAnswerError || isLostConnection(error)) && this.#sql === sql) await this.letGo();
      throw error;
    } finally {
      answered.abort();
    }
  }

  /** Ends all connections, whatever is under way on them. The next use makes new ones. */
  async letGo(): Promise<void> {
    const sql = this.#sql;
    this.#sql = undefined;
    await sql?.end({ timeout: 0 });
  }

  /** Rejects after so long, and never resolves. */
  #noAnswer(timeoutMs: number, signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      this.#options.clock.sleep(timeoutMs, signal).then(
        () => reject(new NoAnswerError(timeoutMs)),
        () => undefined,
      );
    });
  }
}

function connect({ url, password, authorities, ...options }: PoolOptions): Sql {
  surviveLostWrites();
  const [, mode] = /[?&]sslmode=([^&#]*)/.exec(url.reveal()) ?? [];
  const ssl = tlsOf(mode, authorities, firstHost(url.reveal()));
  return postgres(url.reveal(), {
    ssl,
    ...(password === undefined ? {} : { password: password.reveal() }),
    max: options.connections,
    connect_timeout: Math.ceil(options.connectTimeoutMs / 1000),
    idle_timeout: idleSeconds,
    // When to try again is for whoever uses the pool.
    backoff: () => 0,
    onnotice: () => undefined,
    connection: {
      application_name: "sluice",
      statement_timeout: options.statementTimeoutMs,
      idle_in_transaction_session_timeout: idleInTransactionMs,
    },
  });
}

/** As libpq has it: without a mode, TLS where the server has it, and no certificate is checked before `verify-ca`. */
function tlsOf(
  mode: string | undefined,
  authorities: readonly string[],
  host: string,
): boolean | "prefer" | "require" | object {
  const ca = [...authorities];
  if (mode === "disable") return false;
  if (mode === "require") return "require";
  if (mode === "verify-ca") return { ca, checkServerIdentity: () => undefined };
  // Of an address the library does not say what the certificate must be for, and Node would take `localhost` for it.
  return mode === "verify-full" ? { ca, host } : "prefer";
}

/** Without port and brackets. */
function firstHost(url: string): string {
  const [, bracketed, plain = ""] = /^[^/]*\/\/(?:[^@/]*@)?(?:\[([^\]]*)\]|([^:,/?]*))/.exec(url) ?? [];
  return bracketed ?? plain;
}
