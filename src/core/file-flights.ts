import type { H1 } from "../protocol/brand.ts";
import type { FileRequest } from "../protocol/goproxy/index.ts";
import { blobKey } from "../protocol/goproxy/index.ts";
import { Readable } from "node:stream";
import { type Answer, answerFile } from "./answer.ts";
import type { Load } from "./load.ts";
import { isChecksumMismatch } from "./checksum-mismatch.ts";
import { isSluiceError, SluiceError } from "./errors.ts";
import type { Leases, Messages } from "./fleet.ts";
import type { Events } from "./events.ts";
import type {
  BlobContent,
  Clock,
  FetchContext,
  MadeZip,
  ModuleStore,
  NewFacts,
  Source,
  SourceResponse,
  StoredFile,
  SumVerifier,
  ZipVerifier,
} from "./ports.ts";
import { Resumption } from "./resumption.ts";
import {
  type GoModRequest,
  type InfoRequest,
  receiveGoMod,
  receiveInfo,
  sha256Of,
  type SmallFile,
} from "./small-files.ts";
import { MemoryBudget, Spool } from "./spool.ts";

type ZipRequest = Extract<FileRequest, { readonly kind: "zip" }>;

export interface FileFlightOptions {
  readonly store: ModuleStore;
  readonly source: Source;
  readonly verifier: ZipVerifier;
  /** What sources send is compared with checksum databases. Without it nothing is. */
  readonly sums?: SumVerifier | undefined;
  /** Stored files that no checksum database has confirmed are compared before they are served. Without it they are served. */
  readonly confirmStored?: boolean | undefined;
  /** Of all who share the store: one of them fetches a file. Without it each does. */
  readonly leases?: Leases | undefined;
  /** Told of what is kept. */
  readonly messages?: Messages | undefined;
  readonly clock: Clock;
  readonly events: Events;
  /** See `FetchContext.notBefore`. */
  readonly notBefore?: ((request: FileRequest) => number) | undefined;
  /** Without it there is room for everything. */
  readonly load?: Load | undefined;
  /** Zips above this many bytes are streamed to clients while they are fetched. */
  readonly streamFromBytes: number;
  /** Memory for zips under way that the disk does not take. */
  readonly memoryFallbackBytes: number;
  /** For one fetch over all its attempts and sources. */
  readonly totalTimeoutMs: number;
}

interface Flight {
  /** The file as it now stands in the store, or only in memory when the store did not take it. */
  readonly landed: Promise<StoredFile>;
  /** Resolves when the body is worth streaming before it is complete; never rejects. */
  readonly live: Promise<LiveBody>;
}

interface LiveBody {
  readonly spool: Spool;
  readonly source: string;
  readonly size: number | undefined;
}

/**
 * Fetches immutable files: one flight per file for any number of askers, verified before it is kept, streamed to all askers
 * while it is on its way when it is large.
 */
export class FileFlights {
  readonly #options: FileFlightOptions;
  readonly #fallback: MemoryBudget;
  readonly #flights = new Map<string, Flight>();

  constructor(options: FileFlightOptions) {
    this.#options = options;
    this.#fallback = new MemoryBudget(options.memoryFallbackBytes);
  }

  get size(): number {
    return this.#flights.size;
  }

  /** The file of `request`, fetched now or by whoever asked first. `client` is whose turn in fair queues it takes. */
  async fetch(request: FileRequest, client: string): Promise<Answer> {
    const flight = this.#join(request, client);
    const first = await Promise.race([flight.live, flight.landed]);
    if ("spool" in first && !first.spool.isDisposed) return answerLive(first);
    const landed = await flight.landed;
    if (landed.bytes !== undefined) return answerFile(landed, "miss");
    const stored = await this.#options.store.read(request);
    if (stored !== undefined) return answerFile(stored, "miss");
    throw new SluiceError("storage_failed", `${blobKey(request)} was fetched but the store lost it`, {
      retryAfterSeconds: 1,
    });
  }

  /** The same, once it has landed: whole, verified, and stored where the store could take it. */
  land(request: FileRequest, client: string): Promise<StoredFile> {
    return this.#join(request, client).landed;
  }

  isFetching(request: FileRequest): boolean {
    return this.#flights.has(blobKey(request));
  }

  /** Resolves when nothing fetches it, whatever became of it. */
  async settledOf(request: FileRequest): Promise<void> {
    await this.#flights.get(blobKey(request))?.landed.catch(() => undefined);
  }

  async settled(): Promise<void> {
    await Promise.allSettled([...this.#flights.values()].map((flight) => flight.landed));
  }

  #join(request: FileRequest, client: string): Flight {
    const key = blobKey(request);
    const running = this.#flights.get(key);
    if (running !== undefined) return running;
    this.#options.load?.admit("cold_file");
    const live = Promise.withResolvers<LiveBody>();
    const landed = this.#fetchOnce(request, () => this.#fly(request, client, live.resolve)).finally(() =>
      this.#flights.delete(key),
    );
    // Whoever waits handles the failure; when nobody does any more, it must not end the process.
    landed.catch(() => undefined);
    const flight = { landed, live: live.promise };
    this.#flights.set(key, flight);
    return flight;
  }

  /** Where others share the store, one of all fetches, and the others wait for what it keeps. */
  #fetchOnce(request: FileRequest, work: () => Promise<StoredFile>): Promise<StoredFile> {
    const { leases } = this.#options;
    if (leases === undefined) return work();
    return leases.run(blobKey(request), { look: () => this.#look(request), work });
  }

  async #look(request: FileRequest): Promise<StoredFile | undefined> {
    const { store, confirmStored = false } = this.#options;
    const file = await store.read(request);
    // Whoever wants its bytes and does not find them here opens it again.
    file?.discard();
    if (file === undefined || !confirmStored) return file;
    return (await store.unverified(file.key)) === undefined ? file : undefined;
  }

  async #fly(request: FileRequest, client: string, goLive: (body: LiveBody) => void): Promise<StoredFile> {
    const { clock, events, totalTimeoutMs } = this.#options;
    const key = blobKey(request);
    const startedAt = clock.now();
    const notBefore = this.#options.notBefore?.(request);
    const context = { signal: AbortSignal.timeout(totalTimeoutMs), client, notBefore };
    events.emit({ type: "fetch_started", key });
    this.#options.sums?.prepare(request.modulePath, request.version, client);
    let outcome = "ok";
    try {
      return request.kind === "zip"
        ? await this.#fetchZip(request, context, goLive)
        : await this.#fetchSmall(request, context);
    } catch (error) {
      outcome = isSluiceError(error) ? error.code : "internal";
      throw error;
    } finally {
      events.emit({ type: "fetch_ended", key, outcome, durationMs: clock.now() - startedAt });
    }
  }

  async #fetchSmall(request: InfoRequest | GoModRequest, context: FetchContext): Promise<StoredFile> {
    const receive = async (response: SourceResponse): Promise<SmallFile> => {
      if (request.kind === "info") return receiveInfo(response, request);
      const { bytes, facts } = await receiveGoMod(response, request);
      return { bytes, facts: await this.#compared(request, facts, { response, context }) };
    };
    const { bytes, facts } = await this.#options.source.fetch(request, receive, context);
    return this.#keep(request, { bytes }, facts);
  }

  async #fetchZip(request: ZipRequest, context: FetchContext, goLive: (body: LiveBody) => void): Promise<StoredFile> {
    const { source, verifier, events } = this.#options;
    let spool = this.#newSpool();
    // A disk that does not take a good file is no reason to break the transfer to those who follow it.
    let isVerified = false;
    let live: LiveBody | undefined;
    let refused: unknown;
    const key = blobKey(request);
    const resumption = new Resumption((from, bytes) =>
      events.emit({ type: "fetch_resumed", key, source: from, bytes }),
    );
    const receive = async (response: SourceResponse): Promise<{ content: BlobContent; facts: NewFacts }> => {
      if (refused !== undefined) {
        // Whoever follows has bytes of a file that is not the version, and nothing can be appended to them.
        spool.fail(refused);
        await spool.dispose();
        spool = this.#newSpool();
        live = undefined;
        refused = undefined;
      }
      const followed = { spool, source: response.source, size: response.size };
      void spool.outgrewMemory.then(() => {
        live ??= followed;
        goLive(live);
      });
      await resumption.receive(response, spool);
      const content = await spool.content();
      const { h1, sha256 } =
        madeOf(response, content) ??
        (await this.#verified(request, resumption.origin, () =>
          verifier.verify(content, request.modulePath, request.version),
        ));
      if (live?.size !== undefined && live.size !== spool.size) {
        throw new SluiceError("integrity", `clients were told ${live.size} bytes, and the file has ${spool.size}`);
      }
      const facts = { size: spool.size, sha256, h1, source: response.source };
      const compared = await this.#compared(request, facts, { response, context }).catch((error: unknown) => {
        if (isChecksumMismatch(error)) refused = error;
        throw error;
      });
      isVerified = true;
      return { content, facts: compared };
    };
    try {
      const { content, facts } = await source.fetch(request, receive, {
        ...context,
        partial: () => resumption.partial(),
      });
      // Kept before the last block goes out, so that whoever has the whole file finds it stored.
      const file = await this.#keep(request, content, facts);
      // Who follows would have another content than everybody after. The same, packed in another way, is the same to go.
      if (file.h1 === facts.h1) spool.finish();
      else spool.fail(takenMeanwhile(key));
      return file;
    } catch (error) {
      if (isSluiceError(error, "storage_failed") && isVerified) spool.finish();
      else spool.fail(error);
      throw error;
    } finally {
      await spool.dispose();
    }
  }

  #newSpool(): Spool {
    const { store, events, streamFromBytes } = this.#options;
    return new Spool({
      memoryBytes: streamFromBytes,
      stagingFile: () => store.stagingFile(),
      fallback: this.#fallback,
      onDiskFailure: (error) => events.emit({ type: "store_failed", store: "staging", operation: "write", error }),
    });
  }

  /** The facts of what a checksum database confirms, or did not refuse. */
  async #compared(
    { kind, modulePath, version }: GoModRequest | ZipRequest,
    facts: NewFacts & { readonly h1: H1 },
    { response, context }: { readonly response: SourceResponse; readonly context: FetchContext },
  ): Promise<NewFacts> {
    const { sums, events } = this.#options;
    if (sums === undefined) return facts;
    const { source, isDirect = false } = response;
    try {
      const verdict = await sums.check({ kind, modulePath, version, h1: facts.h1, source, isDirect }, context);
      return verdict.state === "unverified" ? { ...facts, unverified: verdict.reason } : facts;
    } catch (error) {
      if (isChecksumMismatch(error) && error instanceof Error) {
        const key = blobKey({ kind, modulePath, version });
        events.emit({ type: "integrity_failed", key, source, reason: error.message });
      }
      throw error;
    }
  }

  async #verified<T>(request: FileRequest, source: string, verify: () => Promise<T>): Promise<T> {
    try {
      return await verify();
    } catch (error) {
      if (!isSluiceError(error, "integrity")) throw error;
      this.#options.events.emit({ type: "integrity_failed", key: blobKey(request), source, reason: error.message });
      throw new SluiceError(
        "integrity",
        `${source} sent a bad zip of ${request.modulePath}@${request.version}: ${error.message}`,
        {
          cause: error,
        },
      );
    }
  }

  /** A store that cannot write must not cost the client its file: what fits in memory is answered all the same. */
  async #keep(request: FileRequest, content: BlobContent, facts: NewFacts): Promise<StoredFile> {
    const { store, messages } = this.#options;
    try {
      const kept = await store.keep(request, content, facts);
      messages?.publish({ type: "kept", key: kept.key });
      return kept;
    } catch (error) {
      if (!isSluiceError(error, "storage_failed") || !("bytes" in content)) throw error;
      return memoryFile(blobKey(request), content.bytes, facts);
    }
  }
}

/**
 * Our own writer has checked what it packed and hashed it, so unpacking it again could find nothing but a change on the way here,
 * which the sha256 tells. What is too large for memory was on a disk meanwhile, and is verified as ever.
 */
function madeOf({ made }: SourceResponse, content: BlobContent): MadeZip | undefined {
  if (made === undefined || !("bytes" in content)) return undefined;
  return sha256Of(content.bytes) === made.sha256 ? made : undefined;
}

function takenMeanwhile(key: string): SluiceError {
  return new SluiceError("integrity", `${key}: another one was kept meanwhile, and is the one that counts: ask again`);
}

function answerLive({ spool, source, size }: LiveBody): Answer {
  const stream = spool.reader();
  return {
    cache: "miss",
    source,
    immutable: true,
    freshForMs: Number.POSITIVE_INFINITY,
    size,
    sha256: undefined,
    stream: () => stream,
    discard: () => stream.destroy(),
  };
}

function memoryFile(key: string, bytes: Uint8Array, facts: NewFacts): StoredFile {
  return {
    key,
    size: bytes.length,
    sha256: facts.sha256,
    h1: facts.h1,
    source: facts.source,
    bytes,
    stream: (range) => Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.end)]),
    discard: () => undefined,
  };
}
