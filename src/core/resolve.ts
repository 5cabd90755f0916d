import { buffer } from "node:stream/consumers";
import type { ModulePath, Version } from "../protocol/brand.ts";
import type { FileRequest, ModuleRequest, RecordRequest } from "../protocol/goproxy/index.ts";
import { blobKey, canNeverBeModule, formatList } from "../protocol/goproxy/index.ts";
import { type Answer, answerFile, answerRecord } from "./answer.ts";
import { isSluiceError, SluiceError } from "./errors.ts";
import type { FleetMessage, PurgeSelection } from "./fleet.ts";
import type { FetchContext, StoredFile } from "./ports.ts";
import { FileFlights, type FileFlightOptions } from "./file-flights.ts";
import { GoModAhead } from "./go-mod-ahead.ts";
import { deriveLatest } from "./latest.ts";
import { NegativeCache } from "./negative-cache.ts";
import { offlineError, type OfflineSwitch } from "./offline.ts";
import { PurgeTimes, selectKeys } from "./purge.ts";
import { isRecordKey } from "./record-key.ts";
import { type ChangingRequest, Records } from "./records.ts";
import { waitUnlessAborted } from "./singleflight.ts";
import { sha256Of } from "./small-files.ts";
import { compareStored } from "./stored-sums.ts";

export interface ResolverOptions extends FileFlightOptions {
  /** `list`, `@latest` and queries are fresh for so long. */
  readonly ttlMs: number;
  /** Share of the TTLs by which they are longer or shorter, so that what came together is not asked for again together. Default 0. */
  readonly ttlJitter?: number | undefined;
  readonly staleWhileRevalidateMs: number;
  readonly notFoundTtlMs: number;
  /** While it is on, nothing is fetched, and what is stored is answered however old. Default: never. */
  readonly offline?: OfflineSwitch | undefined;
  /** How long a client waits for a fetch that others, or it, started. The fetch itself goes on. */
  readonly clientWaitMs: number;
  /** With a zip that was fetched, its `.mod` and `.info` are fetched behind it, where they are not stored. */
  readonly completeVersions?: boolean | undefined;
  /** Modules of which the `.mod` is fetched along with an `.info`, where it is not stored. Default: none. */
  readonly isGoModAhead?: ((modulePath: ModulePath) => boolean) | undefined;
  /** Told of each zip that is answered, but not of those that are answered again from the server's memory. */
  readonly onZip?: ((request: { readonly modulePath: ModulePath; readonly version: Version }) => void) | undefined;
}

export interface ResolveContext {
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Who asks, for fair queues: an address or an identity. */
  readonly client: string;
  /** Answer from the store only (`/cached-only/`, `Disable-Module-Fetch`). */
  readonly cachedOnly: boolean;
}

/** What Sluice does: answers a request from the store, else from the sources, and keeps what it got. */
export class Resolver {
  readonly #options: ResolverOptions;
  readonly #files: FileFlights;
  readonly #records: Records;
  readonly #goModAhead: GoModAhead;
  readonly #negatives: NegativeCache;
  readonly #purged = new PurgeTimes();
  /** Of what is remembered as missing, which every purge is about. */
  readonly #purgedMissing = new PurgeTimes();

  constructor(options: ResolverOptions) {
    this.#options = options;
    this.#files = new FileFlights({ ...options, notBefore: (request) => this.#purgedMissing.last(request) });
    this.#goModAhead = new GoModAhead({ ...options, isMeant: options.isGoModAhead ?? (() => false) });
    this.#negatives = new NegativeCache({
      clock: options.clock,
      ttlMs: options.notFoundTtlMs,
      ttlJitter: options.ttlJitter,
    });
    this.#records = new Records({
      ...options,
      purgedAt: (request) => this.#purged.last(request),
      deriveLatest: (request, client) =>
        deriveLatest(request, {
          source: options.source,
          context: { signal: AbortSignal.timeout(options.totalTimeoutMs), client },
          readFile: async (needed) => readAnswer(await this.#fetch(needed, client)),
        }),
    });
  }

  /** Fetches under way. */
  get fetching(): number {
    return this.#files.size + this.#records.size;
  }

  /** Fails with a `SluiceError`; `not_found` and `not_cached` only when that is the truth. */
  async resolve(request: ModuleRequest, context: ResolveContext): Promise<Answer> {
    this.#options.load?.admit("hit");
    if (context.cachedOnly) return this.#resolveStored(request, context.client);
    if (canNeverBeModule(request.modulePath)) {
      throw new SluiceError("not_found", `not found: ${request.modulePath}: no module can have this path`, {
        details: { negative: true },
      });
    }
    const { clientWaitMs } = this.#options;
    const waitLimit = AbortSignal.timeout(clientWaitMs);
    const fetched = this.#fetch(request, context.client);
    try {
      const answer = await waitUnlessAborted(fetched, AbortSignal.any([context.signal, waitLimit]));
      if (request.kind === "zip") this.#options.onZip?.(request);
      return answer;
    } catch (error) {
      // An answer that comes too late may hold a file open.
      fetched.then(
        (late) => late.discard(),
        () => undefined,
      );
      if (isSluiceError(error)) throw error;
      if (context.signal.aborted) throw new SluiceError("cancelled", "the client went away", { cause: error });
      if (!waitLimit.aborted) throw error;
      throw new SluiceError(
        "upstream_timeout",
        `${blobKey(request)} is still being fetched after ${clientWaitMs / 1000} s; the fetch goes on, ask again`,
        { cause: error, retryAfterSeconds: 10 },
      );
    }
  }

  /**
   * Answers that can change are asked for anew by whoever wants them next; the old ones are served as long as no source answers. Files
   * of versions stay what they are. Answers how many things are not remembered as missing any more.
   */
  purge(selection: PurgeSelection): number {
    const now = this.#options.clock.now();
    this.#purgedMissing.note(selection, now);
    if (selection.onlyMissing !== true) this.#purged.note(selection, now);
    return this.#negatives.forget(selectKeys(selection));
  }

  /** What another node has kept is not missing any more, and what is held here of an older record, or of a wrong file, does not count. */
  heed({ type, key }: Extract<FleetMessage, { readonly type: "kept" | "rejected" }>): void {
    if (type === "kept") this.#negatives.delete(key);
    if (type === "rejected" || isRecordKey(key)) this.#options.store.forget(key);
  }

  /** Resolves when what is being fetched now is stored. For shutdown. */
  async settled(): Promise<void> {
    await Promise.all([this.#files.settled(), this.#records.settled()]);
  }

  /** A file as it is stored, fetched first where it is not: for whoever needs what is known of it. Nobody waits behind `signal`. */
  async ensureStored(request: FileRequest, { signal, client }: FetchContext): Promise<StoredFile> {
    const stored = await this.#options.store.read(request);
    if (stored !== undefined) return stored;
    return waitUnlessAborted(
      this.#knowing(request, () => this.#files.land(request, client)),
      signal,
    );
  }

  async #fetch(request: ModuleRequest, client: string): Promise<Answer> {
    if (isFile(request)) {
      const file = await this.#readStored(request, client);
      if (file !== undefined) {
        this.#options.store.touch(blobKey(request));
        return answerFile(file, "hit");
      }
    }
    if (this.#options.offline?.isOffline === true) {
      if (isFile(request)) throw offlineError(blobKey(request));
      return this.#answerOffline(request);
    }
    if (isFile(request)) {
      const answer = await this.#knowing(request, () => this.#fetchFile(request, client));
      if (request.kind === "zip" && this.#options.completeVersions === true) void this.#complete(request, client);
      return answer;
    }
    return this.#knowing(request, () => this.#records.fetch(request, client));
  }

  async #fetchFile(request: FileRequest, client: string): Promise<Answer> {
    const isAhead = request.kind === "mod" && this.#goModAhead.isUnderWay(request);
    const fetched = this.#files.fetch(request, client);
    if (request.kind === "info") void this.#fetchGoModAhead(request, client);
    try {
      const answer = await fetched;
      if (request.kind === "info") this.#forgetMissing(request);
      return answer;
    } catch (error) {
      // It was asked for before its .info was answered, and may be there by now.
      if (!isAhead || !isSluiceError(error, "not_found")) throw error;
      return this.#files.fetch(request, client);
    }
  }

  /** A version that exists now has the other files, too. */
  #forgetMissing({ modulePath, version }: FileRequest): void {
    for (const kind of ["mod", "zip"] as const) this.#negatives.delete(blobKey({ kind, modulePath, version }));
  }

  /** That it is not there is not remembered: it was asked for before anybody knew of the version. */
  async #fetchGoModAhead(info: FileRequest, client: string): Promise<void> {
    const { store, load } = this.#options;
    const request = { ...info, kind: "mod" } as const;
    // A refusal to do more is for what clients want.
    if (!this.#files.isFetching(info) || load?.mayAdmit("background") === false) return;
    await this.#goModAhead.run(request, async () => {
      if (this.#negatives.get(blobKey(request)) !== undefined || (await store.isKnown(request))) return;
      await this.#files.land(request, `${client}, ahead`);
    });
  }

  /**
   * What is built with is wanted whole one day, perhaps when no source answers any more: `go get` asks for no `.info` of what others
   * require, and `go mod download` does. Never fails; what a fetch failed with is told by its event.
   */
  async #complete({ modulePath, version }: FileRequest, client: string): Promise<void> {
    const { store } = this.#options;
    for (const kind of ["mod", "info"] as const) {
      const request = { kind, modulePath, version };
      try {
        // Not beside the zip: somebody waits for that.
        await this.#files.settledOf({ kind: "zip", modulePath, version });
        if (await store.isKnown(request)) continue;
        await this.#knowing(request, () => this.#files.land(request, client));
      } catch {
        continue;
      }
    }
  }

  /** Where only what is confirmed is served, what is stored is no exception. */
  async #readStored(request: FileRequest, client: string): Promise<StoredFile | undefined> {
    const { store, events, sums, confirmStored = false, totalTimeoutMs } = this.#options;
    if (sums === undefined || !confirmStored) return store.read(request);
    const marked = await store.unverified(blobKey(request));
    const file = await store.read(request);
    if (file === undefined) return undefined;
    // Reading may have marked it. And a mark that is gone meanwhile may be so because the file was rejected.
    const unverified = (await store.unverified(file.key)) ?? (marked?.h1 === file.h1 ? marked : undefined);
    if (unverified === undefined) return file;
    const context = { signal: AbortSignal.timeout(totalTimeoutMs), client };
    // What was not confirmed was not served, so the server does not hold it.
    const compared = { store, events, onRejected: () => undefined };
    const outcome = await compareStored(unverified, compared, (sum) => sums.check(sum, context));
    if (outcome === "confirmed" && unverified.h1 === file.h1) return file;
    file.discard();
    return undefined;
  }

  /** Fetches what is not known not to exist, and remembers what does not. */
  async #knowing<T>(request: ModuleRequest, fetch: () => Promise<T>): Promise<T> {
    const key = blobKey(request);
    const negative = this.#negatives.get(key);
    if (negative !== undefined) throw new SluiceError("not_found", negative, { details: { negative: true } });
    const startedAt = this.#options.clock.now();
    try {
      return await fetch();
    } catch (error) {
      if (!isSluiceError(error, "not_found")) throw error;
      if (await this.#mayBeKept(request, error)) throw lost(key, error);
      if (startedAt > this.#purgedMissing.last(request)) this.#negatives.remember(key, error.message);
      throw error;
    }
  }

  /** go asks for lists of every beginning of an import path. Most are no modules, and builds that need nothing of them must not fail. */
  async #mayBeKept(request: ModuleRequest, { details }: SluiceError): Promise<boolean> {
    const { store } = this.#options;
    if (isFile(request)) return store.isKnown(request);
    if (!store.isInDoubt(request)) return false;
    return details["asked"] === 0 || (await store.versions(request.modulePath)).length > 0;
  }

  async #answerOffline(request: ChangingRequest): Promise<Answer> {
    const stored = await this.#records.stored(request);
    // A list that nobody asked for yet is what is here of the module.
    const answer = stored ?? (request.kind === "list" ? await this.#storedVersions(request) : undefined);
    if (answer === undefined) throw offlineError(blobKey(request));
    return answer;
  }

  async #resolveStored(request: ModuleRequest, client: string): Promise<Answer> {
    if (isFile(request)) {
      const file = await this.#readStored(request, client);
      if (file !== undefined) return answerFile(file, "hit");
    } else {
      const answer =
        request.kind === "list" ? await this.#storedVersions(request) : await this.#records.stored(request);
      if (answer !== undefined) return answer;
    }
    if (this.#options.store.isInDoubt(request)) throw lost(blobKey(request));
    throw new SluiceError(
      "not_cached",
      `not found: ${blobKey(request)}: not stored here, and the client asked for stored content only`,
    );
  }

  async #storedVersions(request: RecordRequest): Promise<Answer | undefined> {
    const versions = await this.#options.store.versions(request.modulePath);
    if (versions.length === 0) return undefined;
    const bytes = Buffer.from(formatList(versions));
    const record = {
      key: blobKey(request),
      bytes,
      sha256: sha256Of(bytes),
      source: "store",
      checkedAt: this.#options.clock.now(),
    };
    return answerRecord(record, "hit", 0);
  }
}

/** What was here, or may be where the store cannot look now, and no source has: that is no reason for a client to believe that it never existed. */
function lost(key: string, cause?: Error): SluiceError {
  const elsewhere = cause === undefined ? "no source is asked" : "no source has it";
  return new SluiceError(
    "storage_failed",
    `${key} was kept, or may be, but cannot be read now, and ${elsewhere}: see the log`,
    { cause },
  );
}

function isFile(request: ModuleRequest): request is FileRequest {
  return request.kind === "info" || request.kind === "mod" || request.kind === "zip";
}

async function readAnswer(answer: Answer): Promise<Uint8Array> {
  if (answer.bytes !== undefined) return answer.bytes;
  return buffer(answer.stream());
}
