import type { Readable } from "node:stream";
import type { H1, ModulePath, Version } from "../protocol/brand.ts";
import type { PartHealth } from "./health.ts";
import type { ModuleRequest } from "../protocol/goproxy/index.ts";

/**
 * Where a file stands in a store: the request's own path without the leading slash (SPEC §7), such as
 * `github.com/!azure/go-autorest/@v/v1.0.0.zip`, `rsc.io/quote/@v/list` or `rsc.io/quote/@latest`. Always `/`-separated,
 * relative, already escaped for case-insensitive file systems. Made by `blobKey(request)` of protocol/goproxy.
 */
export type BlobKey = string;

/** Bytes `start` (inclusive) to `end` (exclusive). */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

// ---------------------------------------------------------------------------------------------------------------------
// Blob port: bytes under keys. It knows nothing of modules. Suite: test/suites/blob-store.ts
// ---------------------------------------------------------------------------------------------------------------------

export interface BlobStat {
  /** Bytes. */
  readonly size: number;
  /** Changes whenever the content may have changed (disk: inode, size, mtime and ctime), for remembering what was verified. */
  readonly revision: string;
  /** Of what its writer meant to write, in lowercase hex; only from `stat`, and where the store keeps that (s3). Nobody has compared it with the content. */
  readonly sha256?: string | undefined;
}

/** An open blob. Whoever got it reads `bytes`, or calls `stream` once, or calls `discard`. */
export interface Blob extends BlobStat {
  /** Present when the store has the content in memory already; do not change it. */
  readonly bytes?: Uint8Array;
  /** The content, or the given part of it. Fails with `storage_failed` when the medium does. */
  stream(range?: ByteRange): Readable;
  /** Reads all of it. */
  read(): Promise<Uint8Array>;
  /** Frees what an unread blob holds (a file handle). Safe to call twice and after reading. */
  discard(): void;
}

/** What is written: bytes, or a finished file on the local disk, which the store may take over by link or rename. */
export type BlobContent =
  | { readonly bytes: Uint8Array }
  | {
      readonly file: string;
      readonly size: number;
      /** Where it is known, so that the file need not be read for it. */
      readonly sha256?: string | undefined;
    };

/**
 * Unknown keys are `undefined` or `false`, never an error. A key that is not relative, clean and inside the store is
 * refused with `malformed_request`. A failing medium is `storage_failed`.
 */
export interface BlobStore {
  /** Printable, such as `disk:/var/lib/sluice/modules`. */
  readonly name: string;
  stat(key: BlobKey): Promise<BlobStat | undefined>;
  get(key: BlobKey): Promise<Blob | undefined>;
  /** Write-once: the first writer wins, whoever comes later gets `exists` and changes nothing. A reader sees all or nothing. */
  create(key: BlobKey, content: BlobContent): Promise<"created" | "exists">;
  /** For mutable records (`list`, `@latest`, queries): atomically puts or replaces. */
  replace(key: BlobKey, bytes: Uint8Array): Promise<void>;
  delete(key: BlobKey): Promise<boolean>;
  /**
   * Takes a broken blob out of the store, for an operator to look at where the store has a place for such (disk: a bounded
   * quarantine folder). With a `revision`, only the blob that still has it. `false` when there was nothing to take.
   */
  setAside(key: BlobKey, revision?: string): Promise<boolean>;
  /** All keys below `prefix`, which is `""` or whole path elements: `a/b` lists `a/b/c` and never `a/bc`. Any order. */
  list(prefix: string): AsyncIterable<BlobKey>;
  /** Throws `storage_failed` when the store cannot be written now. For readiness. */
  check(): Promise<void>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Ledger port: facts about blobs. Suite: test/suites/ledger.ts
// ---------------------------------------------------------------------------------------------------------------------

/** What is known of an immutable file since it was committed or adopted. */
export interface FileFacts {
  readonly key: BlobKey;
  readonly size: number;
  /** Lowercase hex of the whole file. */
  readonly sha256: string;
  /** Of a zip (dirhash) or a go.mod; undefined for `.info`. */
  readonly h1?: H1 | undefined;
  /** The source's printable name; `adopted` when the file was found in the store without facts. */
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly firstSeenAt: number;
}

/** When a mutable record was last confirmed by a source. */
export interface Freshness {
  readonly key: BlobKey;
  readonly sha256: string;
  readonly source: string;
  /** Milliseconds since the epoch. */
  readonly checkedAt: number;
  /**
   * Answered by the ledger: the sha256 that stood before, when it was another one. Freshness is written before its blob, so
   * a blob with this one is whole, only not confirmed.
   */
  readonly previousSha256?: string | undefined;
  /**
   * Answered by the ledger: another node confirmed it, of what that node has. A stored blob with another sha256 is as whole
   * as before, only not confirmed.
   */
  readonly isElsewhere?: boolean | undefined;
}

/** A stored `.mod` or `.zip` that still has to be compared with a checksum database. */
export interface UnverifiedFile {
  readonly key: BlobKey;
  readonly h1: H1;
  /** Why not yet, for people. */
  readonly reason: string;
  /** Milliseconds since the epoch, when it was first kept without. */
  readonly since: number;
}

export interface Ledger {
  readonly name: string;
  facts(key: BlobKey): Promise<FileFacts | undefined>;
  /** First writer wins; answers the facts that stand. */
  addFacts(facts: FileFacts): Promise<FileFacts>;
  /** With a `sha256`, only those that have it. */
  removeFacts(key: BlobKey, sha256?: string): Promise<boolean>;
  freshness(key: BlobKey): Promise<Freshness | undefined>;
  setFreshness(freshness: Freshness): Promise<void>;
  removeFreshness(key: BlobKey): Promise<boolean>;
  /** Remembers a use, written in batches; never a write per call. */
  touch(key: BlobKey, usedAt: number): void;
  /** Milliseconds since the epoch, touches not yet written included. */
  lastUsed(key: BlobKey): Promise<number | undefined>;
  /** Facts of all keys that start with `prefix`, any text, in byte order of keys. For scrub and rebuild. */
  listFacts(prefix: string): AsyncIterable<FileFacts>;
  /** Remembers a file that no checksum database has confirmed; replaces what is known of it. */
  addUnverified(file: UnverifiedFile): Promise<void>;
  unverified(key: BlobKey): Promise<UnverifiedFile | undefined>;
  /** With an `h1`, only one that has it. */
  removeUnverified(key: BlobKey, h1?: H1): Promise<boolean>;
  /** Those whose key comes after `after`, in byte order of keys, at most `limit`. */
  listUnverified(after: BlobKey, limit: number): Promise<UnverifiedFile[]>;
  countUnverified(): Promise<number>;
  check(): Promise<void>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Module store: blobs, ledger and integrity as one. What core reads and writes. Implemented in storage/module-store.ts
// ---------------------------------------------------------------------------------------------------------------------

/** A verified file. `bytes` when it is small or in the memory tier, else it streams, verified before the first byte. */
export interface StoredFile {
  readonly key: BlobKey;
  readonly size: number;
  readonly sha256: string;
  /** Of a zip or a go.mod. */
  readonly h1?: H1 | undefined;
  /** The source it came from. */
  readonly source: string;
  readonly bytes?: Uint8Array | undefined;
  stream(range?: ByteRange): Readable;
  discard(): void;
}

export interface StoredRecord {
  readonly key: BlobKey;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly source: string;
  /** Milliseconds since the epoch; 0 when it was found in the store and no source confirmed it yet. */
  readonly checkedAt: number;
}

/** As a module store knows it: with the h1 and the source of the file that stands. */
export interface StoredUnverified extends UnverifiedFile {
  readonly source: string;
}

export interface NewFacts extends Omit<FileFacts, "key" | "firstSeenAt"> {
  /** Why no checksum database has confirmed it yet, for people. */
  readonly unverified?: string | undefined;
}

export interface ModuleStore {
  /** From memory only, synchronously: the hot path. */
  peek(key: BlobKey): StoredFile | undefined;
  /**
   * An immutable file, checked against its recorded size and sha256 (or, when it has no facts, checked as `verify` would and
   * adopted). A broken one is set aside, reported as `file_corrupt`, and answered as not stored, so that it is fetched again.
   * One that the medium cannot read now is reported as `store_failed` and answered as not stored, too.
   */
  read(request: ModuleRequest): Promise<StoredFile | undefined>;
  /**
   * Keeps an immutable file; when another writer was first, answers the one that stands. `storage_failed` when it cannot (told
   * as an event too; what fits stays in memory all the same). `integrity` when the file was kept before, got lost, and has
   * another h1 now: what was served once never changes. With `unverified` in its facts it is remembered as such before it is
   * visible; without, what was remembered so is confirmed.
   */
  keep(request: ModuleRequest, content: BlobContent, facts: NewFacts): Promise<StoredFile>;
  /** Whether this file was kept once, though it may be lost or broken now; also when that cannot be told, as a part of the store is out of reach. */
  isKnown(request: ModuleRequest): Promise<boolean>;
  /** Of a file or record that was just read and not found: it may be stored all the same, in a part of the store that is out of reach. */
  isInDoubt(request: ModuleRequest): boolean;
  readRecord(request: ModuleRequest): Promise<StoredRecord | undefined>;
  /** A store that cannot write is told as an event; the record stays in memory. */
  keepRecord(request: ModuleRequest, bytes: Uint8Array, source: string): Promise<StoredRecord>;
  /** Forgets a record that is no longer true, such as the answer for a deleted branch. */
  dropRecord(request: ModuleRequest): Promise<void>;
  /**
   * Records below `prefix` (as `BlobStore.list` has it) that are meant, and were confirmed at `confirmedBy` or before, are kept and count as never confirmed, for
   * all who share the store and after a restart. Answers how many.
   */
  outdateRecords(
    prefix: string,
    which: { readonly isMeant: (key: BlobKey) => boolean; readonly confirmedBy: number },
  ): Promise<number>;
  /** Canonical, non-pseudo versions whose `.mod` is stored, sorted by semver. */
  versions(modulePath: ModulePath): Promise<Version[]>;
  touch(key: BlobKey): void;
  /** What is held in memory of this key counts no more: another process has kept or rejected what is stored there. */
  forget(key: BlobKey): void;
  /**
   * Takes a stored file that turned out to be wrong out of the store (set aside, not deleted) and forgets its facts, so that
   * another may come. With an `h1`, only if that is still its own; answers `false` when another one has come already.
   */
  reject(request: ModuleRequest, wrong: { readonly reason: string; readonly h1?: H1 | undefined }): Promise<boolean>;
  /** What no checksum database has confirmed, as `Ledger.listUnverified`. */
  listUnverified(after: BlobKey, limit: number): Promise<StoredUnverified[]>;
  unverified(key: BlobKey): Promise<StoredUnverified | undefined>;
  countUnverified(): Promise<number>;
  /** It was compared with a checksum database now, or need not be. */
  confirm(key: BlobKey): Promise<void>;
  /** A new, empty file name on the store's own file system for a zip under way. */
  stagingFile(): Promise<string>;
  check(): Promise<void>;
  close(): Promise<void>;
}

/** Structure, CRCs, sizes, names and h1 of a zip on disk or in memory. Runs off the main thread. Fails with `integrity`. */
export interface ZipVerifier {
  verify(
    content: BlobContent,
    modulePath: ModulePath,
    version: Version,
  ): Promise<{ readonly h1: H1; readonly sha256: string }>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Checksum databases (SPEC §6). What is public is compared with the public log, what is private with our own.
// ---------------------------------------------------------------------------------------------------------------------

/** A `.mod` or `.zip` that a source sent. */
export interface SumFile {
  readonly kind: "mod" | "zip";
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly h1: H1;
  /** The source's printable name. */
  readonly source: string;
  /** Straight from a repository, so that no proxy the configuration names stands for it. */
  readonly isDirect: boolean;
}

export type SumVerdict =
  | { readonly state: "verified"; readonly database: string }
  /** No database is to be asked for it: it is private, or excepted by a pattern. */
  | { readonly state: "exempt" }
  /** Kept and served all the same; to be compared later. */
  | {
      readonly state: "unverified";
      /** Undefined where the configuration wants nothing compared. That may change, and then this is compared, too. */
      readonly database: string | undefined;
      /** For people. */
      readonly reason: string;
      /** The database answered, and does not have it. Otherwise it could not be asked. */
      readonly isAnswered: boolean;
    };

/** Implemented in sumdb/. */
export interface SumVerifier {
  /** Begins to look a version up, so that `check` has less to wait for. Never fails. */
  prepare(modulePath: ModulePath, version: Version, client: string): void;
  /**
   * `integrity` when a database says another hash (the message has both) or lies; `unverified` when it must be confirmed and
   * cannot be, now or at all.
   */
  check(file: SumFile, context: FetchContext): Promise<SumVerdict>;
  /**
   * The same for a file that is kept already: the database is waited for, and what it does not confirm is a verdict, never an
   * error, and is not told of again.
   */
  recheck(file: SumFile, context: FetchContext): Promise<SumVerdict>;
}

/** The state of a log: its first `size` records and the hash over them. */
export interface LogTree {
  readonly size: number;
  /** 32 bytes. */
  readonly hash: Uint8Array;
  /** The place where several nodes have this log cannot be asked now: it may have more. */
  readonly isBehind?: boolean | undefined;
}

/** A signed tree of a log as we last saw and proved it. */
export interface SignedTree extends LogTree {
  /** The whole signed note, as it came. */
  readonly note: Uint8Array;
}

/** Two trees of one log of which neither is the beginning of the other. */
export interface ForkEvidence {
  readonly ours: Uint8Array;
  readonly theirs: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly seenAt: number;
}

export interface LogRecord {
  /** From 0, dense. */
  readonly id: number;
  /** `path version h1:…` and `path version/go.mod h1:…`, each with its line end. */
  readonly text: string;
}

export interface NewLogRecord {
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly text: string;
}

export interface SumStoreOverview {
  /** Logs of others. `keptAt`: milliseconds since the epoch. */
  readonly followed: readonly { readonly database: string; readonly size: number; readonly keptAt: number }[];
  readonly own: readonly { readonly log: string; readonly size: number }[];
}

/**
 * What must never be lost or rewritten: how far we have followed the logs of others, and our own log. Every write is on the
 * disk when it resolves. Several processes may share it. Suite: test/suites/sum-store.ts
 */
export interface SumStore {
  readonly name: string;
  /** The last tree of another's log that was proven to continue the one before. */
  tree(database: string): Promise<SignedTree | undefined>;
  /** Only when the tree kept now still has `previousSize` (0: there is none) and is smaller. Answers whether it was kept. */
  setTree(database: string, tree: SignedTree, previousSize: number): Promise<boolean>;
  /** Kept for ever, once per pair of notes. */
  addFork(database: string, evidence: ForkEvidence): Promise<void>;
  forks(database: string): Promise<ForkEvidence[]>;
  /** An operator's decision to follow this log anew: its tree is forgotten, its forks are kept as settled and no longer answered by `forks`. */
  forgetTree(database: string): Promise<void>;

  /** Our own log of this name as it is committed. `storage_failed` when its stored hashes do not add up to it any more. */
  logTree(log: string): Promise<LogTree>;
  findRecord(log: string, modulePath: ModulePath, version: Version): Promise<LogRecord | undefined>;
  /**
   * Appends what is not there yet, records and tree hashes in one transaction, in the given order; answers for each the record
   * that stands, which may have another text when somebody was first.
   */
  appendRecords(log: string, records: readonly NewLogRecord[]): Promise<LogRecord[]>;
  /** Texts of records `start` (inclusive) to `end` (exclusive), all of which exist. */
  records(log: string, start: number, end: number): Promise<string[]>;
  /** By stored hash index (SPEC §6.3), 32 bytes each, all of which exist. */
  treeHashes(log: string, indexes: readonly number[]): Promise<Uint8Array[]>;
  /** All that is kept here, by name, for operators. */
  overview(): Promise<SumStoreOverview>;
  check(): Promise<void>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Source port: where modules come from. Suite: test/suites/source.ts
// ---------------------------------------------------------------------------------------------------------------------

/** Of a zip that this process has made itself, and by the rules that a `ZipVerifier` checks. */
export interface MadeZip {
  readonly h1: H1;
  /** Lowercase hex of the whole file. */
  readonly sha256: string;
}

/** What a source opened for a request. */
export interface SourceResponse {
  /** Printable name without secrets, such as `https://proxy.example.com`. */
  readonly source: string;
  /** Bytes of the whole file, when the source said so. The body fails with `upstream_invalid` if it ends before or after. */
  readonly size?: number | undefined;
  /** Straight from a repository: no proxy that the configuration names stands for it. */
  readonly isDirect?: boolean | undefined;
  /** The body is a zip of our own writer: where its bytes have this sha256, they need no other check. Never of what others sent. */
  readonly made?: MadeZip | undefined;
  /** Where in the file the body begins. More than 0 only within what the `partial` of the context has. Default 0. */
  readonly start?: number | undefined;
  /** A strong one (RFC 9110 §8.8.3), quotes included: the same for the same bytes only. */
  readonly etag?: string | undefined;
  /** Decoded bytes. Fails with an `upstream_*` code. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** The beginning of a file whose transfer broke off. */
export interface PartialFile {
  /** Bytes that are there, from the first one on. */
  readonly size: number;
  /** Bytes of the whole file. */
  readonly total: number;
  /** Who sent the last of them, by its printable name, and what strong ETag it gave for the file. */
  readonly source: string;
  readonly etag: string | undefined;
}

export interface FetchContext {
  readonly signal: AbortSignal;
  /** Who waits for it, for fair queues: an address or an identity. */
  readonly client: string;
  /** What is remembered of the places it comes from, such as branches and tags, counts only from behind this time. Milliseconds since the epoch. */
  readonly notBefore?: number | undefined;
  /**
   * What is there already of the file, asked before each attempt. A source may then send the rest only: of a file of the same
   * size, and beginning some KiB before the end of what is there, which `receive` compares. Without it the file is sent whole.
   */
  readonly partial?: (() => PartialFile | undefined) | undefined;
  /** Something else can answer: a source that is known to be down fails at once, instead of being waited for. Default false. */
  readonly failFast?: boolean | undefined;
  /** Another source is asked when this one takes unusually long: then it counts as failed. Default false. */
  readonly mayMoveOn?: boolean | undefined;
  /**
   * Asked when an answer is late: how to have the same asked of somebody who is as good. Who is the quicker then ends the other by
   * its `signal`. Undefined: there is nobody.
   */
  readonly elsewhere?: (() => (() => void) | undefined) | undefined;
}

/** How long a source takes to the first byte of an answer, in milliseconds: half of the newest answers at most `p50`, and so on. */
export interface FirstByteMs {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** How a source is at the moment, for whoever has several that would do. */
export interface SourceCondition {
  /** `degraded`: it answers, and others that are `ok` are the better choice. */
  readonly state: PartHealth["state"];
  /** Undefined while too little is known. */
  readonly firstByteMs: FirstByteMs | undefined;
}

/**
 * `receive` reads and checks one response. When it, or the body, fails with a retryable `upstream_*` code or `integrity`, the
 * source may open the request again (from itself or, in a chain, from the next) and call `receive` anew; the fetch ends with
 * the first `receive` that succeeds. When none does: `not_found` only if every source that was asked said so; otherwise the
 * error that matters most to the client (SPEC §1.6).
 */
export interface Source {
  readonly name: string;
  fetch<T>(
    request: ModuleRequest,
    receive: (response: SourceResponse) => Promise<T>,
    context: FetchContext,
  ): Promise<T>;
  /** From what is known already; without it nothing is. */
  condition?(): SourceCondition;
  close(): Promise<void>;
}

/** The wall clock and timers, so that tests own time. Milliseconds. */
export interface Clock {
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
