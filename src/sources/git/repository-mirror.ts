import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { FetchContext } from "../../core/ports.ts";
import { waitUnlessAborted } from "../../core/singleflight.ts";
import { givenUp } from "../../net/given-up.ts";
import { Activity } from "./activity.ts";
import { GitError } from "./process.ts";
import { isAbsentCommit } from "./failure.ts";
import { MirrorCopy } from "./mirror-copy.ts";
import { MirrorFetches } from "./mirror-fetches.ts";
import { hasHistory } from "./mirror-folder.ts";
import { MirrorGc } from "./mirror-gc.ts";
import type { PackedFiles } from "./module-tree.ts";
import type { ObjectReaders } from "./object-reader.ts";
import type { RefSnapshot } from "./refs.ts";
import { RemoteHost, type RemoteHostOptions } from "./remote-host.ts";
import { RemoteRefs } from "./remote-refs.ts";
import type { GitCommit, GitRepo } from "./resolve/repo.ts";

/** A repository as one request sees it. */
export interface MirrorView extends GitRepo {
  /** The bare repository, which has what was answered before. */
  readonly folder: string;
  /** The files below a folder of a commit that was answered before, where they can be had without `git archive`. */
  moduleTree(commit: string, dir: string): Promise<PackedFiles | undefined>;
  /** A commit that was served before, even when no branch or tag has it any more. */
  pinned(hash: string): Promise<GitCommit | undefined>;
  /** What to do about a failure of git in this mirror: tells whether all of the request should be done again. */
  recover(error: unknown): Promise<boolean>;
  /** The request is done with it; once for each view. */
  close(): void;
}

export interface ViewContext extends FetchContext {
  /** It is opened for a private module. */
  readonly isPrivate?: boolean | undefined;
}

const refsTimeoutMs = 60_000;

/** The remote changed between two looks at it: look again. */
class RemoteMoved extends SluiceError {
  constructor(url: string, ref: string) {
    super("upstream_failed", `${url}: ${ref} changed while it was fetched; ask again`, { details: { upstream: url } });
  }
}

export interface MirrorOptions extends RemoteHostOptions {
  /** The bare repository. */
  readonly folder: string;
  readonly readers: ObjectReaders;
  /** Of all mirrors: whose packs are put together. */
  readonly gcTurn: <T>(task: () => Promise<T>) => Promise<T>;
  /** Requests for all mirrors. */
  readonly activity: Activity;
  /** For one fetch. */
  readonly fetchTimeoutMs: number;
  /** What one fetch may add to the folder. Default: anything. */
  readonly maxFetchBytes?: number | undefined;
  /** After each fetch, whatever came of it. */
  readonly onFetched: () => void;
  /** How long the branches and tags of a host are believed. What is not among them is asked for again at once. */
  readonly refsTtlMs: number;
  /** Whether versions are fetched that nobody asked for yet, when one was asked for. */
  readonly isAhead?: boolean | undefined;
}

/** A repository and our copy of it. Any number of askers cost one fetch at a time. */
export class Mirror {
  readonly #parts: MirrorOptions;
  readonly #host: RemoteHost;
  readonly #refs: RemoteRefs;
  readonly #copy: MirrorCopy;
  readonly #fetches: MirrorFetches;
  readonly #gc: MirrorGc;
  readonly #activity: Activity;

  constructor(parts: MirrorOptions) {
    const { fetchTimeoutMs, isAhead = false } = parts;
    this.#parts = parts;
    this.#activity = new Activity(parts.clock);
    this.#host = new RemoteHost(parts);
    this.#refs = new RemoteRefs({ ...parts, host: this.#host, timeoutMs: Math.min(refsTimeoutMs, fetchTimeoutMs) });
    this.#copy = new MirrorCopy(parts);
    this.#gc = new MirrorGc({ ...parts, turn: parts.gcTurn, copy: this.#copy, timeoutMs: fetchTimeoutMs });
    this.#fetches = new MirrorFetches({
      copy: this.#copy,
      host: this.#host,
      refs: this.#refs,
      open: (client) => this.#open(client),
      onFetched: () => {
        this.#gc.plan();
        parts.onFetched();
      },
      timeoutMs: fetchTimeoutMs,
      maxBytes: parts.maxFetchBytes,
      events: parts.events,
      isAhead,
      activity: this.#activity,
      allActivity: parts.activity,
      clock: parts.clock,
      closing: parts.closing,
    });
  }

  view({ signal, client, isPrivate = false, notBefore = 0 }: ViewContext): MirrorView {
    if (isPrivate) this.#host.markPrivate();
    const leave = this.#enter();
    const { url, folder, clock } = this.#parts;
    const startedAt = clock.now();
    this.#copy.use();
    const { generation, local } = this.#copy;
    let seen: RefSnapshot | undefined;
    const refs = async (fresh = false): Promise<RefSnapshot> => {
      if (seen === undefined || (fresh && seen.askedAt < startedAt)) {
        seen = await this.#refs.read(client, fresh ? startedAt : notBefore);
      }
      return seen;
    };
    /** The work goes on for the others when one asker leaves. */
    const wait = async <T>(work: () => Promise<T>): Promise<T> => {
      if (signal.aborted) throw givenUp(signal, url);
      const running = work();
      void running.catch(() => undefined).finally(this.#enter());
      try {
        return await waitUnlessAborted(running, signal);
      } catch (error) {
        if (isSluiceError(error) || error instanceof GitError || !signal.aborted) throw error;
        throw givenUp(signal, url);
      }
    };
    return {
      url,
      folder,
      refs: (options) => wait(() => refs(options?.fresh)),
      tip: async (ref, hash) => (hash === "" ? undefined : wait(() => this.#tip(ref, hash, client))),
      find: (hash) => wait(async () => this.#find(hash, await refs(), client)),
      blobs: (commit, paths) => wait(() => local.blobs(commit, paths)),
      moduleTree: (commit, dir) => wait(() => local.moduleTree(commit, dir)),
      tagsMerged: (commit) =>
        wait(async () => {
          await this.#fetches.history(await refs(), client);
          return local.tagsMerged(commit);
        }),
      isAncestor: (ancestor, commit) =>
        wait(async () => {
          if (ancestor === commit) return true;
          await this.#fetches.history(await refs(), client);
          return local.isAncestor(ancestor, commit);
        }),
      pinned: (hash) => wait(() => this.#pinned(hash, client)),
      recover: async (error) => error instanceof RemoteMoved || this.#copy.recover(error, generation),
      close: leave,
    };
  }

  #enter(): () => void {
    const leaves = [this.#activity, this.#parts.activity].map((activity) => activity.enter());
    return () => {
      for (const leave of leaves) leave();
    };
  }

  /** It has a folder, or somebody may yet ask for one. */
  get isInUse(): boolean {
    if (this.#activity.isBusy || this.#copy.isOpened) return true;
    return this.#fetches.isWaiting || this.#refs.isAsking;
  }

  async settled(): Promise<void> {
    this.#gc.stop();
    this.#fetches.stop();
    await this.#copy.settled();
  }

  /** When the last request began that had it open. */
  get usedAt(): number {
    return this.#activity.isBusy ? Number.POSITIVE_INFINITY : this.#copy.usedAt;
  }

  /** Takes it from the disk unless it was used since `before`. Whoever asks next gets a new one. */
  async removeUnused(before: number): Promise<string | undefined> {
    const removed = await this.#copy.removeIf(() => this.usedAt < before);
    if (removed !== undefined) this.#fetches.stop();
    return removed;
  }

  async #tip(ref: string, hash: string, client: string): Promise<GitCommit | undefined> {
    await this.#open(client);
    const { local } = this.#copy;
    const here = await local.commit(hash);
    if (here !== undefined) return here;
    await this.#fetches.tip(hash, ref, client);
    const fetched = await local.commit(hash);
    if (fetched !== undefined || (await local.has(hash))) return fetched;
    this.#refs.forget();
    throw new RemoteMoved(this.#parts.url, ref);
  }

  async #find(hash: string, refs: RefSnapshot, client: string): Promise<GitCommit | undefined> {
    await this.#open(client);
    const { local, folder } = this.#copy;
    // The branches of an older history may have what was taken back since.
    if (await hasHistory(folder)) await this.#fetches.history(refs, client);
    const here = await local.commit(hash);
    if (here !== undefined && (await local.isReachable(here.hash))) return here;
    await this.#fetches.history(refs, client);
    const found = await local.commit(hash);
    return found !== undefined && (await local.isReachable(found.hash)) ? found : undefined;
  }

  async #pinned(hash: string, client: string): Promise<GitCommit | undefined> {
    await this.#open(client);
    const { local } = this.#copy;
    const here = await local.commit(hash);
    if (here !== undefined) return here;
    // It was served before, so it is no stranger; many hosts give what no branch or tag has any more for its hash.
    await this.#fetches.tip(hash, hash, client).catch((error: unknown) => {
      if (!isAbsentCommit(error)) throw error;
    });
    return local.commit(hash);
  }

  #open(client: string): Promise<void> {
    return this.#copy.open(async () => {
      const refs = await this.#refs.read(client, 0);
      return refs.byName.values().next().value?.length ?? 40;
    });
  }
}
