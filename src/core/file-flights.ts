import type { FileRequest } from "../protocol/goproxy/index.ts";
import { blobKey, formatInfo, maxInfoBytes, parseInfo } from "../protocol/goproxy/index.ts";
import { scanModulePath } from "../protocol/modfile/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { ProtocolError } from "../protocol/error.ts";
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { type Answer, answerFile } from "./answer.ts";
import { parseFrom, readBody } from "./body.ts";
import { isSluiceError, SluiceError } from "./errors.ts";
import type {
  BlobContent,
  Clock,
  Events,
  FetchContext,
  FileFacts,
  ModuleStore,
  Source,
  SourceResponse,
  StoredFile,
  ZipVerifier,
} from "./ports.ts";
import { Resumption } from "./resumption.ts";
import { MemoryBudget, Spool } from "./spool.ts";

type InfoRequest = Extract<FileRequest, { readonly kind: "info" }>;
type GoModRequest = Extract<FileRequest, { readonly kind: "mod" }>;
type ZipRequest = Extract<FileRequest, { readonly kind: "zip" }>;

export interface FileFlightOptions {
  readonly store: ModuleStore;
  readonly source: Source;
  readonly verifier: ZipVerifier;
  readonly clock: Clock;
  readonly events: Events;
  /** Zips above this many bytes are streamed to clients while they are fetched. */
  readonly streamFromBytes: number;
  /** Memory for zips under way that the disk does not take. */
  readonly memoryFallbackBytes: number;
  /** For one fetch over all its attempts and sources. */
  readonly totalTimeoutMs: number;
}

/** SPEC §5.3: what a zip may carry as go.mod. */
const maxGoModBytes = 16 * 1024 * 1024;

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

  async settled(): Promise<void> {
    await Promise.allSettled([...this.#flights.values()].map((flight) => flight.landed));
  }

  #join(request: FileRequest, client: string): Flight {
    const key = blobKey(request);
    const running = this.#flights.get(key);
    if (running !== undefined) return running;
    const live = Promise.withResolvers<LiveBody>();
    const landed = this.#fly(request, client, live.resolve).finally(() => this.#flights.delete(key));
    // Whoever waits handles the failure; when nobody does any more, it must not end the process.
    landed.catch(() => undefined);
    const flight = { landed, live: live.promise };
    this.#flights.set(key, flight);
    return flight;
  }

  async #fly(request: FileRequest, client: string, goLive: (body: LiveBody) => void): Promise<StoredFile> {
    const { clock, events, totalTimeoutMs } = this.#options;
    const key = blobKey(request);
    const startedAt = clock.now();
    const context = { signal: AbortSignal.timeout(totalTimeoutMs), client };
    events.emit({ type: "fetch_started", key });
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
    const receive = (response: SourceResponse): Promise<SmallFile> =>
      request.kind === "info" ? receiveInfo(response, request) : receiveGoMod(response, request);
    const { bytes, facts } = await this.#options.source.fetch(request, receive, context);
    return this.#keep(request, { bytes }, facts);
  }

  async #fetchZip(request: ZipRequest, context: FetchContext, goLive: (body: LiveBody) => void): Promise<StoredFile> {
    const { store, source, verifier, events, streamFromBytes } = this.#options;
    const spool = new Spool({
      memoryBytes: streamFromBytes,
      stagingFile: () => store.stagingFile(),
      fallback: this.#fallback,
      onDiskFailure: (error) => events.emit({ type: "store_failed", store: "staging", operation: "write", error }),
    });
    // A disk that does not take a good file is no reason to break the transfer to those who follow it.
    let isVerified = false;
    let live: LiveBody | undefined;
    const key = blobKey(request);
    const resumption = new Resumption((from, bytes) =>
      events.emit({ type: "fetch_resumed", key, source: from, bytes }),
    );
    const receive = async (response: SourceResponse): Promise<{ content: BlobContent; facts: Facts }> => {
      void spool.outgrewMemory.then(() => {
        live ??= { spool, source: response.source, size: response.size };
        goLive(live);
      });
      await resumption.receive(response, spool);
      const content = await spool.content();
      const { h1, sha256 } = await this.#verified(request, resumption.origin, () =>
        verifier.verify(content, request.modulePath, request.version),
      );
      if (live?.size !== undefined && live.size !== spool.size) {
        throw new SluiceError("integrity", `clients were told ${live.size} bytes, and the file has ${spool.size}`);
      }
      isVerified = true;
      return { content, facts: { size: spool.size, sha256, h1, source: response.source } };
    };
    try {
      const { content, facts } = await source.fetch(request, receive, {
        ...context,
        partial: () => resumption.partial(),
      });
      // Kept before the last block goes out, so that whoever has the whole file finds it stored.
      const file = await this.#keep(request, content, facts);
      spool.finish();
      return file;
    } catch (error) {
      if (isSluiceError(error, "storage_failed") && isVerified) spool.finish();
      else spool.fail(error);
      throw error;
    } finally {
      await spool.dispose();
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
  async #keep(request: FileRequest, content: BlobContent, facts: Facts): Promise<StoredFile> {
    try {
      return await this.#options.store.keep(request, content, facts);
    } catch (error) {
      if (!isSluiceError(error, "storage_failed") || !("bytes" in content)) throw error;
      return memoryFile(blobKey(request), content.bytes, facts);
    }
  }
}

type Facts = Omit<FileFacts, "key" | "firstSeenAt">;

interface SmallFile {
  readonly bytes: Uint8Array;
  readonly facts: Facts;
}

async function receiveInfo(response: SourceResponse, request: InfoRequest): Promise<SmallFile> {
  const sent = await readBody(response, maxInfoBytes);
  const info = parseFrom(response.source, blobKey(request), () => parseInfo(sent, request));
  const bytes = Buffer.from(formatInfo(info));
  return { bytes, facts: { size: bytes.length, sha256: sha256Of(bytes), source: response.source } };
}

async function receiveGoMod(response: SourceResponse, request: GoModRequest): Promise<SmallFile> {
  const bytes = await readBody(response, maxGoModBytes);
  parseFrom(response.source, blobKey(request), () => refuseWhatIsNoGoMod(bytes));
  return {
    bytes,
    facts: { size: bytes.length, sha256: sha256Of(bytes), h1: hashGoMod(bytes), source: response.source },
  };
}

/**
 * Old releases carry go.mod files that today's parser refuses, and their hashes stand in go.sum files, so how it parses does not
 * matter here. A file that is not blank and names no module is something else, such as a page of a login portal.
 */
function refuseWhatIsNoGoMod(bytes: Uint8Array): void {
  if (scanModulePath(bytes) !== "" || Buffer.from(bytes).toString("utf8").trim() === "") return;
  throw new ProtocolError("malformed_gomod", "it has no module directive");
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

function memoryFile(key: string, bytes: Uint8Array, facts: Facts): StoredFile {
  return {
    key,
    size: bytes.length,
    sha256: facts.sha256,
    source: facts.source,
    bytes,
    stream: (range) => Readable.from([range === undefined ? bytes : bytes.subarray(range.start, range.end)]),
    discard: () => undefined,
  };
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
