import { LRUCache } from "lru-cache";
import type { H1, ModulePath, Version } from "../protocol/brand.ts";
import { blobKey } from "../protocol/goproxy/index.ts";
import { findHash } from "../protocol/sumdb/index.ts";
import { checksumMismatch, describeSum, isChecksumMismatch } from "../core/checksum-mismatch.ts";
import { isSluiceError, SluiceError } from "../core/errors.ts";
import type { Events } from "../core/events.ts";
import type { Clock, FetchContext, LogRecord, SumFile, SumVerdict, SumVerifier } from "../core/ports.ts";
import { givenUp } from "../net/given-up.ts";
import { waitUnlessAborted } from "../core/singleflight.ts";

/** Somebody else's database: what a `RemoteLog` answers is proven. */
export interface PublicLog {
  readonly name: string;
  lookup(modulePath: ModulePath, version: Version, context: FetchContext): Promise<LogRecord>;
}

/** Our own log of private modules. */
export interface PrivateLog {
  readonly name: string;
  /** Undefined when it has not entered yet. */
  findHash(modulePath: ModulePath, version: Version, kind: "mod" | "zip"): Promise<H1 | undefined>;
}

export interface SumVerifierOptions {
  /** What public modules are compared with. Without it they go on unverified, whatever is required. */
  readonly publicLog?: PublicLog | undefined;
  /** What private modules are compared with, as far as they are in it. */
  readonly privateLog?: PrivateLog | undefined;
  /** Of what must not be asked of `publicLog`. */
  readonly isPrivate: (modulePath: ModulePath) => boolean;
  /** What is not confirmed is refused. Otherwise only what comes straight from a repository is. */
  readonly isRequired: boolean;
  readonly clock: Clock;
  readonly events: Events;
}

/** Longer than a look-up with all its retries should take; whoever waits has limits of their own. */
const lookupTimeoutMs = 120_000;
/** How long a file that may go on unverified waits for the database beyond its download. */
const patienceMs = 10_000;
/** The same for a while after the database could not be asked, so that its outage does not make every file wait. */
const shortPatienceMs = 500;
const troubleMs = 30_000;
/**
 * What the log said, “not there” included, is believed for so long, so that the zip does not ask again what the go.mod asked. The
 * log remembers what it has proven, and knows when that counts no more.
 */
const believedMs = 30_000;
const maxRemembered = 10_000;

/** A look-up, under way or over. */
interface Lookup {
  readonly record: Promise<LogRecord>;
  /** Milliseconds since the epoch. */
  believedUntil: number;
}

type Unverified = Extract<SumVerdict, { readonly state: "unverified" }>;

/** Nobody is told: that is what the configuration wants. */
const uncompared: Unverified = {
  state: "unverified",
  database: undefined,
  reason: "it came while nothing was compared (sumdb.verify, sumdb.database)",
  isAnswered: false,
};

/** Compares what sources send with the public database, and what is private with our own log. */
export function createSumVerifier(options: SumVerifierOptions): SumVerifier {
  const { publicLog, privateLog, isPrivate, isRequired, clock, events } = options;
  const lookups = new LRUCache<string, Lookup>({ max: maxRemembered });
  let troubledUntil = 0;

  return {
    prepare(modulePath, version, client) {
      if (publicLog === undefined || isPrivate(modulePath)) return;
      void lookUp(publicLog, { modulePath, version }, client).catch(() => undefined);
    },
    async check(file, context) {
      const mayBeUnverified = !isRequired && !file.isDirect;
      const asked = ask(file, context);
      const verdict = await told(file, mayBeUnverified ? withPatience(asked) : asked);
      if (verdict.state !== "unverified" || verdict.database === undefined) return verdict;
      if (mayBeUnverified) {
        tell(file, verdict.database, "unverified", verdict.reason);
        return verdict;
      }
      tell(file, verdict.database, "refused", verdict.reason);
      throw unconfirmed(file, verdict);
    },
    recheck: (file, context) => told(file, ask(file, context)),
  };

  async function ask(file: SumFile, context: FetchContext): Promise<SumVerdict> {
    if (isPrivate(file.modulePath)) return privateLog === undefined ? { state: "exempt" } : askOwn(privateLog, file);
    return publicLog === undefined ? uncompared : askPublic(publicLog, file, context);
  }

  async function askPublic(log: PublicLog, file: SumFile, context: FetchContext): Promise<SumVerdict> {
    const database = log.name;
    try {
      const { text } = await waitUnlessAborted(lookUp(log, file, context.client), context.signal);
      const expected = findHash(text, file.modulePath, file.version, file.kind);
      if (expected === file.h1) return { state: "verified", database };
      if (expected !== undefined) throw checksumMismatch(file, database, expected);
      return { state: "unverified", database, reason: `${database} has no hash of it`, isAnswered: true };
    } catch (error) {
      if (context.signal.aborted) throw givenUp(context.signal, database);
      return whyUnverified(file, database, error);
    }
  }

  /** One look-up for all files of a version and all who ask. */
  function lookUp(
    log: PublicLog,
    { modulePath, version }: Pick<SumFile, "modulePath" | "version">,
    client: string,
  ): Promise<LogRecord> {
    const key = `${modulePath}@${version}`;
    const known = lookups.get(key);
    if (known !== undefined && clock.now() < known.believedUntil) return known.record;
    const record = log.lookup(modulePath, version, { signal: AbortSignal.timeout(lookupTimeoutMs), client });
    const lookup = { record, believedUntil: Number.POSITIVE_INFINITY };
    lookups.set(key, lookup);
    record.then(
      () => {
        lookup.believedUntil = clock.now() + believedMs;
        troubledUntil = 0;
      },
      (error: unknown) => {
        const isAbsent = isSluiceError(error, "not_found");
        lookup.believedUntil = isAbsent ? clock.now() + believedMs : 0;
        troubledUntil = isAbsent ? 0 : clock.now() + troubleMs;
      },
    );
    return record;
  }

  async function withPatience(asked: Promise<SumVerdict>): Promise<SumVerdict> {
    const waitMs = clock.now() < troubledUntil ? shortPatienceMs : patienceMs;
    const over = new AbortController();
    const late = clock.sleep(waitMs, over.signal).then((): SumVerdict => {
      troubledUntil = clock.now() + troubleMs;
      const database = publicLog?.name ?? "";
      return { state: "unverified", database, reason: `${database} did not answer in time`, isAnswered: false };
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([asked, late]);
    } finally {
      over.abort();
      asked.catch(() => undefined);
    }
  }

  /** Tells of a verdict that is one. */
  async function told(file: SumFile, asked: Promise<SumVerdict>): Promise<SumVerdict> {
    try {
      const verdict = await asked;
      if (verdict.state === "verified") tell(file, verdict.database, "verified");
      return verdict;
    } catch (error) {
      if (isSluiceError(error, "integrity")) {
        const outcome = isChecksumMismatch(error) ? "mismatch" : "refused";
        tell(file, String(error.details["database"]), outcome, firstLine(error));
      }
      throw error;
    }
  }

  function tell(
    { kind, modulePath, version, source }: SumFile,
    database: string,
    outcome: "verified" | "unverified" | "mismatch" | "refused",
    reason?: string,
  ): void {
    const key = blobKey({ kind, modulePath, version });
    events.emit({ type: "sum_checked", key, database, outcome, source, ...(reason === undefined ? {} : { reason }) });
  }
}

async function askOwn(log: PrivateLog, file: SumFile): Promise<SumVerdict> {
  const database = log.name;
  try {
    const expected = await log.findHash(file.modulePath, file.version, file.kind);
    if (expected === undefined) return { state: "exempt" };
    if (expected === file.h1) return { state: "verified", database };
    throw checksumMismatch(file, database, expected);
  } catch (error) {
    return whyUnverified(file, database, error);
  }
}

/** What a database failed with, where that says nothing about the file. */
function whyUnverified(file: SumFile, database: string, error: unknown): Unverified {
  if (!isSluiceError(error) || isChecksumMismatch(error) || error.code === "internal") throw error;
  if (error.code === "not_found") {
    return { state: "unverified", database, reason: `${database} does not have it`, isAnswered: true };
  }
  if (error.code === "integrity") {
    // No other source of the file, and no second try, makes a database more honest.
    throw new SluiceError("integrity", `verifying ${describeSum(file)}: ${error.message}`, {
      cause: error,
      details: { ...error.details, database, permanent: true },
    });
  }
  return {
    state: "unverified",
    database,
    reason: `${database} cannot be asked: ${firstLine(error)}`,
    isAnswered: false,
  };
}

function unconfirmed(file: SumFile, { reason, isAnswered }: Unverified): SluiceError {
  const why = file.isDirect
    ? "It comes straight from its repository, where a tag can be moved, so it must be confirmed."
    : 'Only what is confirmed is served here (sumdb.verify = "required").';
  const advice = isAnswered
    ? "If it is private, say so with [[private]] or GOPRIVATE of this Sluice. A public one that is new is known in a minute."
    : "Ask again later.";
  return new SluiceError("unverified", `verifying ${describeSum(file)}: ${reason}\n  ${why}\n  ${advice}`, {
    details: { isAnswered },
    retryAfterSeconds: isAnswered ? 60 : 10,
  });
}

function firstLine({ message }: Error): string {
  return message.split("\n", 1)[0] ?? "";
}
