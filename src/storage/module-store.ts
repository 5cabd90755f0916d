import type { H1, ModulePath, Version } from "../protocol/brand.ts";
import { blobKey, type FileRequest, type ModuleRequest } from "../protocol/goproxy/index.ts";
import { isPseudoVersion, sortVersions } from "../protocol/semver/index.ts";
import { SluiceError } from "../core/errors.ts";
import type { Events } from "../core/events.ts";
import type {
  BlobContent,
  BlobKey,
  BlobStore,
  Clock,
  Ledger,
  ModuleStore,
  NewFacts,
  StoredFile,
  StoredRecord,
  StoredUnverified,
  ZipVerifier,
} from "../core/ports.ts";
import { inspect } from "./adoption.ts";
import { FactBook } from "./fact-book.ts";
import { FileStore } from "./file-store.ts";
import { HotTier } from "./hot-tier.ts";
import { goModVersion, isFileRequest, requestOf, versionsFolder } from "./layout.ts";
import { RecordStore } from "./record-store.ts";
import type { SharedStore } from "./shared-copy.ts";
import { WholeReads } from "./whole-reads.ts";
import { ZipHashes } from "./zip-hashes.ts";

export interface ModuleStoreOptions {
  readonly blobs: BlobStore;
  readonly ledger: Ledger;
  readonly verifier: ZipVerifier;
  readonly clock: Clock;
  readonly events: Events;
  /** Names new files on the file system of `blobs`, so that a finished one is taken over without a copy. */
  readonly stagingFile: () => Promise<string>;
  /** The same for copies of stored files, which are gone when they were checked. Default: `stagingFile`. */
  readonly scratchFile?: () => Promise<string>;
  /** For the tier in memory; 0 is none. Half as much again may be held by clients that are just being answered. */
  readonly memoryBytes: number;
  /** Files up to this size, but at most an eighth of `memoryBytes`, are read whole, larger ones are streamed. */
  readonly wholeFileLimitBytes: number;
  /** Others write into `blobs` as well: a record may be another than the one that was kept here. */
  readonly isShared?: boolean;
  /** Whether a file that was not found may be stored all the same, where it could not be looked for. Default: never. */
  readonly isInDoubt?: (key: BlobKey) => boolean;
  /** What others write into as well. Default: there are no others. */
  readonly shared?: SharedStore;
  /** Sends a file that was just kept to where others see it. Answers whether another was there first, so that ours was conceded. */
  readonly send?: (key: BlobKey) => Promise<boolean>;
  /** Called first when the store closes: ends what works on it in the background. */
  readonly beforeClose?: () => Promise<void>;
}

export interface ConcedingModuleStore extends ModuleStore {
  /** Another node was first with a file of this name: `take` takes ours out of the blobs, and all that is known of it is forgotten. */
  concede(key: BlobKey, take: () => Promise<void>): Promise<void>;
  /** Another node was first with another content than ours, which has this h1: ours is set aside, and `settle` records what stands. */
  giveWay(
    request: ModuleRequest,
    ours: { readonly reason: string; readonly h1: H1; readonly settle: () => Promise<void> },
  ): Promise<void>;
}

/** Blobs, ledger, memory and integrity as one. Closing it closes `blobs` and `ledger`. */
export function createModuleStore(options: ModuleStoreOptions): ConcedingModuleStore {
  return new TieredModuleStore(options);
}

class TieredModuleStore implements ConcedingModuleStore {
  readonly #options: ModuleStoreOptions;
  readonly #hot: HotTier;
  readonly #facts: FactBook;
  readonly #files: FileStore;
  readonly #records: RecordStore;

  constructor(options: ModuleStoreOptions) {
    const { blobs, events, verifier, stagingFile, scratchFile = stagingFile } = options;
    this.#options = options;
    const hot = new HotTier(options.memoryBytes);
    const wholeReads = new WholeReads({
      maxFileBytes: Math.min(options.wholeFileLimitBytes, hot.maxFileBytes),
      maxHeldBytes: options.memoryBytes * 1.5,
    });
    this.#hot = hot;
    this.#facts = new FactBook(options);
    this.#records = new RecordStore({ ...options, hot });
    this.#files = new FileStore({
      blobs,
      events,
      hot,
      wholeReads,
      facts: this.#facts,
      isInDoubt: options.isInDoubt,
      send: options.send,
      shared: options.shared,
      zipHashes: new ZipHashes(blobs, events),
      inspect: (request, blob) => inspect(request, blob, { verifier, stagingFile: scratchFile, wholeReads }),
    });
  }

  peek(key: BlobKey): StoredFile | undefined {
    return this.#hot.file(key);
  }

  read(request: ModuleRequest): Promise<StoredFile | undefined> {
    return this.#files.read(fileRequest(request));
  }

  keep(request: ModuleRequest, content: BlobContent, facts: NewFacts): Promise<StoredFile> {
    return this.#files.keep(fileRequest(request), content, facts);
  }

  readRecord(request: ModuleRequest): Promise<StoredRecord | undefined> {
    return this.#records.read(request);
  }

  keepRecord(request: ModuleRequest, bytes: Uint8Array, source: string): Promise<StoredRecord> {
    return this.#records.keep(request, bytes, source);
  }

  dropRecord(request: ModuleRequest): Promise<void> {
    return this.#records.drop(request);
  }

  async outdateRecords(
    prefix: string,
    { isMeant, confirmedBy }: { readonly isMeant: (key: BlobKey) => boolean; readonly confirmedBy: number },
  ): Promise<number> {
    let outdated = 0;
    for await (const key of this.#options.blobs.list(prefix)) {
      const request = isMeant(key) ? requestOf(key) : undefined;
      if (request === undefined || isFileRequest(request)) continue;
      if (await this.#records.outdate(request, confirmedBy)) outdated += 1;
    }
    return outdated;
  }

  isKnown(request: ModuleRequest): Promise<boolean> {
    return this.#files.isKnown(fileRequest(request));
  }

  isInDoubt(request: ModuleRequest): boolean {
    return this.#options.isInDoubt?.(blobKey(request)) ?? false;
  }

  concede(key: BlobKey, take: () => Promise<void>): Promise<void> {
    return this.#files.concede(key, take);
  }

  giveWay(request: ModuleRequest, ours: Parameters<ConcedingModuleStore["giveWay"]>[1]): Promise<void> {
    return this.#files.giveWay(fileRequest(request), ours);
  }

  reject(request: ModuleRequest, wrong: { readonly reason: string; readonly h1?: H1 | undefined }): Promise<boolean> {
    return this.#files.reject(fileRequest(request), wrong);
  }

  unverified(key: BlobKey): Promise<StoredUnverified | undefined> {
    return this.#facts.unverified(key);
  }

  listUnverified(after: BlobKey, limit: number): Promise<StoredUnverified[]> {
    return this.#facts.listUnverified(after, limit);
  }

  countUnverified(): Promise<number> {
    return this.#facts.countUnverified();
  }

  confirm(key: BlobKey): Promise<void> {
    return this.#facts.confirm(key);
  }

  async versions(modulePath: ModulePath): Promise<Version[]> {
    const versions: Version[] = [];
    for await (const key of this.#options.blobs.list(versionsFolder(modulePath))) {
      const version = goModVersion(key);
      if (version !== undefined && !isPseudoVersion(version)) versions.push(version);
    }
    return sortVersions(versions);
  }

  touch(key: BlobKey): void {
    this.#options.ledger.touch(key, this.#options.clock.now());
  }

  forget(key: BlobKey): void {
    this.#hot.delete(key);
  }

  stagingFile(): Promise<string> {
    return this.#options.stagingFile();
  }

  async check(): Promise<void> {
    await this.#options.blobs.check();
    await this.#options.ledger.check();
  }

  async close(): Promise<void> {
    await this.#options.beforeClose?.();
    await this.#options.ledger.close();
    await this.#options.blobs.close();
  }
}

function fileRequest(request: ModuleRequest): FileRequest {
  if (isFileRequest(request)) return request;
  throw new SluiceError("internal", `${blobKey(request)} changes over time and is kept as a record`);
}
