import { readdir, stat } from "node:fs/promises";
import { setPriority } from "node:os";
import { join } from "node:path";
import { LRUCache } from "lru-cache";
import { isSluiceError, type SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import type { Activity } from "./activity.ts";
import { isAbsentCommit } from "./failure.ts";
import { FetchLimit } from "./fetch-limit.ts";
import type { MirrorCopy } from "./mirror-copy.ts";
import { hasHistory, isShallow, noteHistory, noteJob, removeLeftovers } from "./mirror-folder.ts";
import type { RefSnapshot } from "./refs.ts";
import type { RemoteHost, RemoteRun } from "./remote-host.ts";
import type { RemoteRefs } from "./remote-refs.ts";
import { maxAheadBytes, TagsAhead } from "./tags-ahead.ts";

export interface MirrorFetchesOptions {
  readonly copy: MirrorCopy;
  readonly host: RemoteHost;
  readonly refs: RemoteRefs;
  /** Makes sure that the copy has a folder. */
  readonly open: (client: string) => Promise<void>;
  /** Called after each fetch, whatever came of it. */
  readonly onFetched: () => void;
  /** For one fetch. */
  readonly timeoutMs: number;
  /** What one fetch may add to the folder. Default: anything. */
  readonly maxBytes: number | undefined;
  readonly events: Events;
  /** Whether versions are fetched that nobody asked for yet. */
  readonly isAhead: boolean;
  /** Requests for this repository. */
  readonly activity: Activity;
  /** And for all of them. */
  readonly allActivity: Activity;
  readonly clock: Pick<Clock, "now">;
  readonly closing: AbortSignal;
}

/** What the next fetch is to bring. */
interface Batch {
  /** Refs by the hash that is wanted. */
  readonly tips: Map<string, string>;
  /** All branches and tags of this snapshot with their history. */
  history: RefSnapshot | undefined;
  readonly done: Promise<void>;
}

type FetchKind = "tips" | "history" | "ahead";

/** A fetch of what nobody asked for yet. */
interface Ahead {
  readonly hashes: ReadonlySet<string>;
  readonly stopping: AbortController;
  /** It had to wait for its turn, which nobody else does for it. */
  isStarted: boolean;
}

/** The requests of one go command are closer to each other than this, also where it unpacks zips between them. */
const aheadAfterMs = 300;
/** So long at most for requests for other repositories. */
const aheadAtLatestMs = 10_000;
const tooLargeMs = 10 * 60_000;
const fetchArgs = ["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head"];

/** Brings commits of a remote into our copy, one fetch at a time for any number of askers. */
export class MirrorFetches {
  readonly #parts: MirrorFetchesOptions;
  /** Gathers askers until the fetch starts. */
  #batch: Batch | undefined;
  /** Of the refs whose history is here. */
  #history: { readonly sum: string; readonly generation: number } | undefined;
  /** The host gives no commit for its hash. */
  #needsRefs = false;
  /** On the disk, by the latest fetch of single commits. */
  #bytesPerCommit = Number.POSITIVE_INFINITY;
  readonly #tags = new TagsAhead();
  /** What was too much, by what was asked for: it is not fetched up to there again and again. */
  readonly #tooLarge = new LRUCache<string, SluiceError>({ max: 100, ttl: tooLargeMs });
  #aheadTimer: NodeJS.Timeout | undefined;
  /** When the next fetch ahead was planned first. */
  #aheadSince: number | undefined;
  #ahead: Ahead | undefined;

  constructor(parts: MirrorFetchesOptions) {
    this.#parts = parts;
  }

  get isWaiting(): boolean {
    return this.#batch !== undefined;
  }

  /** Nothing more is planned. */
  stop(): void {
    clearTimeout(this.#aheadTimer);
  }

  /** Brings one commit without its history. `ref` has it, as of a moment ago, or is its hash. */
  tip(hash: string, ref: string, client: string): Promise<void> {
    const { hashes, isStarted, stopping } = this.#ahead ?? {};
    if (!isStarted || hashes?.has(hash) !== true) stopping?.abort();
    return this.#fetch(client, ({ tips }) => tips.set(hash, ref));
  }

  /** Brings everything that a branch or tag has. */
  async history(refs: RefSnapshot, client: string): Promise<void> {
    if (this.#hasHistoryOf(refs)) return;
    this.#ahead?.stopping.abort();
    await this.#fetch(client, (batch) => {
      if (batch.history === undefined || batch.history.askedAt < refs.askedAt) batch.history = refs;
    });
  }

  #hasHistoryOf({ sum }: RefSnapshot): boolean {
    return this.#history?.sum === sum && this.#history.generation === this.#parts.copy.generation;
  }

  #fetch(client: string, add: (batch: Batch) => void): Promise<void> {
    this.#batch ??= this.#newBatch(client);
    add(this.#batch);
    return this.#batch.done;
  }

  #newBatch(client: string): Batch {
    const done = this.#parts.copy.exclusive(async () => {
      // Askers that came together are served together, though the first of them knows first that it needs a fetch.
      await this.#parts.copy.local.answered();
      if (this.#batch === batch) this.#batch = undefined;
      await this.#fetchBatch(batch, client);
    });
    const batch: Batch = { tips: new Map(), history: undefined, done };
    return batch;
  }

  async #fetchBatch({ tips, history }: Batch, client: string): Promise<void> {
    const { open, refs } = this.#parts;
    await open(client);
    if (history !== undefined && !this.#hasHistoryOf(history)) await this.#fetchHistory(history, client);
    const missing = new Set(await this.#missing([...tips.keys()]));
    if (missing.size === 0) return;
    const wanted = new Map([...tips].filter(([hash]) => missing.has(hash)));
    try {
      await this.#fetchTips(wanted, client);
    } catch (error) {
      // As go: hosts fail at shallow fetches in too many ways to tell them apart.
      if (!isOfHost(error) || refs.last === undefined) throw error;
      await this.#fetchHistory(refs.last, client);
    }
    for (const ref of wanted.values()) this.#tags.want(ref);
    this.#planAhead();
  }

  /**
   * One commit each, without history; in a mirror that has all history, with what it lacks of it. Asked for by hash, which spares
   * the host its list of refs, and needs no luck where a ref moves meanwhile.
   */
  async #fetchTips(wanted: ReadonlyMap<string, string>, client: string): Promise<void> {
    let isDenied = false;
    if (!this.#needsRefs) {
      try {
        await this.#fetchByHash([...wanted.keys()], client);
        return;
      } catch (error) {
        if (!isOfHost(error) || [...wanted].every(([hash, ref]) => hash === ref)) throw error;
        isDenied = isAbsentCommit(error);
      }
    }
    await this.#fetchRefs("tips", { ...(await this.#tipsRun([...wanted])), client });
    // Neither an outage nor a ref that moved says anything of what a host gives.
    if (isDenied && (await this.#missing([...wanted.keys()])).length === 0) this.#needsRefs = true;
  }

  /** Some that nobody asked for yet go along, unless it may be them that the host does not have any more, or that are too much. */
  async #fetchByHash(wanted: readonly string[], client: string): Promise<void> {
    const along = (await this.#commitsAhead()).filter((hash) => !wanted.includes(hash));
    try {
      await this.#fetchCommits("tips", [...wanted, ...along], { client });
      this.#tags.fetched(along, along.length * this.#bytesPerCommit);
    } catch (error) {
      if (along.length === 0 || !(isAbsentCommit(error) || isPermanent(error))) throw error;
      this.#tags.giveUp();
      await this.#fetchCommits("tips", wanted, { client });
    }
  }

  async #fetchCommits(
    kind: "tips" | "ahead",
    hashes: readonly string[],
    run: Pick<RemoteRun, "client" | "signal" | "onStart">,
  ): Promise<void> {
    const before = await this.#size();
    await this.#fetchRefs(kind, { ...(await this.#tipsRun(hashes.map((hash) => [hash, hash]))), ...run });
    this.#bytesPerCommit = ((await this.#size()) - before) / hashes.length;
  }

  /** Under a name of our own they conflict with no other ref, and are kept for what was served of them. */
  async #tipsRun(tips: readonly (readonly [hash: string, ref: string])[]): Promise<Pick<RemoteRun, "args" | "input">> {
    const depth = (await hasHistory(this.#parts.copy.folder)) ? [] : ["--depth=1"];
    const input = tips.map(([hash, ref]) => `+${ref}:refs/sluice/at/${hash}\n`).join("");
    return { args: [...fetchArgs, ...depth, "--stdin", "origin"], input };
  }

  async #fetchHistory(refs: RefSnapshot, client: string): Promise<void> {
    const { copy } = this.#parts;
    const { folder, generation } = copy;
    const depth = (await isShallow(folder)) ? ["--unshallow"] : [];
    const input = "+refs/heads/*:refs/heads/*\n+refs/tags/*:refs/tags/*\n";
    await this.#fetchRefs("history", { args: [...fetchArgs, "--prune", ...depth, "--stdin", "origin"], input, client });
    await noteHistory(folder);
    this.#history = { sum: refs.sum, generation };
  }

  async #fetchRefs(
    kind: FetchKind,
    run: Pick<RemoteRun, "args" | "input" | "client" | "signal" | "onStart">,
  ): Promise<void> {
    const { host, copy, timeoutMs, onFetched, closing } = this.#parts;
    const { folder, local } = copy;
    const known = this.#tooLarge.get(`${kind} ${run.input}`);
    if (known !== undefined) throw known;
    const limit = this.#limit(kind);
    // It starts while the host is busy.
    local.prepare();
    try {
      await host.run(kind, {
        ...run,
        signal: AbortSignal.any([run.signal ?? closing, ...(limit === undefined ? [] : [limit.signal])]),
        gitDir: folder,
        timeoutMs,
        onStart(pid) {
          if (kind === "ahead") stepBack(pid);
          run.onStart?.(pid);
          limit?.start();
          void noteJob(folder, pid);
        },
      });
    } catch (error) {
      await removeLeftovers(folder).catch(() => undefined);
      throw this.#toldTooLarge(kind, `${kind} ${run.input}`, limit) ?? error;
    } finally {
      limit?.stop();
      await noteJob(folder, undefined);
      onFetched();
    }
  }

  #limit(kind: FetchKind): FetchLimit | undefined {
    const { copy, host } = this.#parts;
    const { maxBytes = Number.POSITIVE_INFINITY } = this.#parts;
    const most = kind === "ahead" ? Math.min(maxBytes, maxAheadBytes) : maxBytes;
    if (most === Number.POSITIVE_INFINITY) return undefined;
    return new FetchLimit({ folder: copy.folder, url: host.url, maxBytes: most });
  }

  #toldTooLarge(kind: FetchKind, asked: string, limit: FetchLimit | undefined): SluiceError | undefined {
    const { host, events, maxBytes = 0 } = this.#parts;
    const failure = limit?.failure;
    if (failure === undefined || kind === "ahead") return undefined;
    events.emit({ type: "git_fetch_too_large", repository: host.url, maxBytes });
    this.#tooLarge.set(asked, failure);
    return failure;
  }

  // What nobody asked for yet ---------------------------------------------------------------------------------------

  #planAhead(): void {
    const { copy, isAhead, activity, allActivity, clock, closing } = this.#parts;
    clearTimeout(this.#aheadTimer);
    if (!isAhead || this.#needsRefs || closing.aborted) return;
    this.#aheadSince ??= clock.now();
    // In a place where somebody waits all the time it has its turn all the same.
    const isLate = Math.abs(clock.now() - this.#aheadSince) >= aheadAtLatestMs;
    const quietMs = isLate ? activity.quietMs : Math.min(activity.quietMs, allActivity.quietMs);
    if (quietMs >= aheadAfterMs) {
      this.#aheadSince = undefined;
      void copy.exclusive(() => this.#fetchAhead()).catch(() => undefined);
      return;
    }
    this.#aheadTimer = setTimeout(() => this.#planAhead(), aheadAfterMs - quietMs);
    this.#aheadTimer.unref();
  }

  async #fetchAhead(): Promise<void> {
    const { closing } = this.#parts;
    if (closing.aborted) return;
    const hashes = await this.#commitsAhead();
    // Who waits goes first, and it is planned again behind them.
    if (this.#batch !== undefined || hashes.length === 0) return;
    const stopping = new AbortController();
    const ahead: Ahead = { hashes: new Set(hashes), stopping, isStarted: false };
    this.#ahead = ahead;
    try {
      const signal = AbortSignal.any([closing, stopping.signal]);
      const onStart = (): void => void (ahead.isStarted = true);
      await this.#fetchCommits("ahead", hashes, { client: "ahead", signal, onStart });
      this.#tags.fetched(hashes, hashes.length * this.#bytesPerCommit);
      this.#planAhead();
    } catch (error) {
      // With much to do it is left for later.
      if (isSluiceError(error, "overloaded")) this.#planAhead();
      else if (!stopping.signal.aborted) this.#tags.giveUp();
      throw error;
    } finally {
      this.#ahead = undefined;
    }
  }

  /** The next commits that are not here. */
  async #commitsAhead(): Promise<readonly string[]> {
    const { isAhead, refs, copy } = this.#parts;
    if (!isAhead || refs.last === undefined || (await hasHistory(copy.folder))) return [];
    const missing = await this.#missing(this.#tags.candidates(refs.last, this.#bytesPerCommit));
    return missing.slice(0, this.#tags.atOnce(this.#bytesPerCommit));
  }

  async #missing(hashes: readonly string[]): Promise<readonly string[]> {
    const { local } = this.#parts.copy;
    const commits = await Promise.all(hashes.map((hash) => local.commit(hash)));
    return hashes.filter((_, index) => commits[index] === undefined);
  }

  /** Of all packs, in bytes. */
  async #size(): Promise<number> {
    const folder = join(this.#parts.copy.folder, "objects", "pack");
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".pack"));
    const sizes = await Promise.all(names.map((name) => sizeOf(join(folder, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}

/** A quarter of the processor where others want it: somebody may come to wait for it. */
const niceness = 5;

/** Behind what somebody waits for. A process that has ended, or a system that does not let us, is no failure. */
function stepBack(pid: number): void {
  try {
    setPriority(pid, niceness);
  } catch {
    // It goes on as it is.
  }
}

/** 0 where it is gone. */
async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

function isOfHost(error: unknown): boolean {
  return isSluiceError(error, "upstream_failed", "not_found", "upstream_invalid") && !isPermanent(error);
}

/** It is too much, and will be. */
function isPermanent(error: unknown): boolean {
  return isSluiceError(error) && error.details["permanent"] === true;
}
