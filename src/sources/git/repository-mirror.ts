import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { FetchContext } from "../../core/ports.ts";
import { waitUnlessAborted } from "../../core/singleflight.ts";
import { givenUp } from "../../net/given-up.ts";
import { GitError } from "./command.ts";
import { isAbsentCommit, isDamage } from "./failure.ts";
import { LocalRepo } from "./local-repo.ts";
import { isRepository, noteJob, openMirrorFolder, removeLeftovers, setAsideFolder } from "./mirror-folder.ts";
import { parseRemoteRefs, type RefSnapshot } from "./refs.ts";
import { RemoteHost, type RemoteHostOptions, type RemoteRun } from "./remote-host.ts";
import type { GitCommit, GitRepo } from "./resolve/repo.ts";
import { noteUse, removeMirror } from "./unused-mirrors.ts";

/** A repository as one request sees it. */
export interface MirrorView extends GitRepo {
  /** The bare repository, which has what was answered before. */
  readonly folder: string;
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
const gcAfterFetches = 25;
const gcIdleMs = 60_000;
const noteUseEveryMs = 3_600_000;

/** The remote changed between two looks at it: look again. */
class RemoteMoved extends SluiceError {
  constructor(url: string, ref: string) {
    super("upstream_failed", `${url}: ${ref} changed while it was fetched; ask again`, { details: { upstream: url } });
  }
}

export interface MirrorOptions extends RemoteHostOptions {
  /** The bare repository. */
  readonly folder: string;
  /** For one fetch. */
  readonly fetchTimeoutMs: number;
  /** How long the branches and tags of a host are believed. What is not among them is asked for again at once. */
  readonly refsTtlMs: number;
}

/** What the next fetch is to bring. */
interface Batch {
  /** Refs by the hash that is wanted. */
  readonly tips: Map<string, string>;
  /** All branches and tags of this snapshot with their history. */
  history: RefSnapshot | undefined;
  readonly done: Promise<void>;
}

/** A bare repository that follows a remote. Any number of askers cost one fetch at a time. */
export class Mirror {
  readonly #parts: MirrorOptions;
  readonly #host: RemoteHost;
  #local: LocalRepo;
  #opened: Promise<void> | undefined;
  #refs: { readonly askedAt: number; readonly answer: Promise<RefSnapshot>; isAnswered: boolean } | undefined;
  #lastRefs: RefSnapshot | undefined;
  /** Gathers askers until the fetch starts. */
  #batch: Batch | undefined;
  /** Whatever writes into the folder, one behind the other. */
  #writing: Promise<unknown> = Promise.resolve();
  /** `sum` of the refs whose history is here. */
  #historyOf: string | undefined;
  #generation = 0;
  #fetchesSinceGc = 0;
  #gcTimer: NodeJS.Timeout | undefined;
  #usedAt = 0;
  #openViews = 0;
  #use: { readonly notedAt: number; readonly done: Promise<void> } | undefined;

  constructor(parts: MirrorOptions) {
    this.#parts = parts;
    this.#host = new RemoteHost(parts);
    this.#local = new LocalRepo(parts.git, parts.folder);
  }

  view({ signal, client, isPrivate = false }: ViewContext): MirrorView {
    if (isPrivate) this.#host.markPrivate();
    this.#openViews += 1;
    const { url, folder, clock, closing } = this.#parts;
    const startedAt = clock.now();
    this.#usedAt = startedAt;
    if (this.#opened !== undefined) this.#noteUse();
    const generation = this.#generation;
    const local = this.#local;
    let seen: RefSnapshot | undefined;
    const refs = async (fresh = false): Promise<RefSnapshot> => {
      if (seen === undefined || (fresh && seen.askedAt < startedAt)) {
        seen = await this.#readRefs(client, fresh ? startedAt : 0);
      }
      return seen;
    };
    /** The work goes on for the others when one asker leaves. */
    const wait = async <T>(work: () => Promise<T>): Promise<T> => {
      if (signal.aborted) throw givenUp(signal, url);
      const running = work();
      this.#openViews += 1;
      void running.catch(() => undefined).finally(() => (this.#openViews -= 1));
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
      blobs: (commit, paths) => wait(() => local.blobs(commit, paths, closing)),
      tagsMerged: (commit) =>
        wait(async () => {
          await this.#ensureHistory(await refs(), client);
          return local.tagsMerged(commit, closing);
        }),
      isAncestor: (ancestor, commit) =>
        wait(async () => {
          if (ancestor === commit) return true;
          await this.#ensureHistory(await refs(), client);
          return local.isAncestor(ancestor, commit, closing);
        }),
      pinned: (hash) => wait(() => this.#pinned(hash, client)),
      recover: (error) => this.#recover(error, generation),
      close: () => void (this.#openViews -= 1),
    };
  }

  /** It has a folder, or somebody may yet ask for one. */
  get isInUse(): boolean {
    if (this.#openViews > 0 || this.#opened !== undefined) return true;
    return this.#batch !== undefined || this.#refs?.isAnswered === false;
  }

  async settled(): Promise<void> {
    clearTimeout(this.#gcTimer);
    await this.#writing.catch(() => undefined);
    await this.#use?.done;
  }

  /** Takes it from the disk unless it was used since `before`. Whoever asks next gets a new one. */
  removeUnused(before: number): Promise<string | undefined> {
    return this.#exclusive(async () => {
      if (this.#usedAt >= before) return undefined;
      this.#startAnew();
      return removeMirror(this.#parts.folder);
    });
  }

  #noteUse(): void {
    const { clock, folder } = this.#parts;
    const now = clock.now();
    if (this.#use !== undefined && now - this.#use.notedAt < noteUseEveryMs) return;
    this.#use = { notedAt: now, done: noteUse(folder, now) };
  }

  // Refs ------------------------------------------------------------------------------------------------------------

  #readRefs(client: string, notBefore: number): Promise<RefSnapshot> {
    const { clock, refsTtlMs } = this.#parts;
    const now = clock.now();
    const known = this.#refs;
    if (known !== undefined && known.askedAt >= notBefore && now - known.askedAt < refsTtlMs) return known.answer;
    const answer = this.#listRemote(client, now).catch((error: unknown) => {
      if (this.#refs?.answer === answer) this.#refs = undefined;
      throw error;
    });
    const asked = { askedAt: now, answer, isAnswered: false };
    this.#refs = asked;
    void answer.then(
      () => (asked.isAnswered = true),
      () => (asked.isAnswered = true),
    );
    return answer;
  }

  async #listRemote(client: string, askedAt: number): Promise<RefSnapshot> {
    const { git, url, fetchTimeoutMs } = this.#parts;
    await git.check();
    const args = ["ls-remote", "-q", "--end-of-options", url];
    const timeoutMs = Math.min(refsTimeoutMs, fetchTimeoutMs);
    const output = await this.#host.run("refs", { args, timeoutMs, client });
    const refs = parseRemoteRefs(output.toString("utf8"), askedAt);
    this.#reportMovedTags(refs);
    return refs;
  }

  #reportMovedTags(refs: RefSnapshot): void {
    const { events, url } = this.#parts;
    const last = this.#lastRefs;
    this.#lastRefs = refs;
    if (last === undefined || last.sum === refs.sum) return;
    for (const [name, from] of last.byName) {
      const to = refs.byName.get(name);
      if (!name.startsWith("refs/tags/") || to === undefined || to === from) continue;
      events.emit({ type: "tag_moved", repository: url, tag: name.slice("refs/tags/".length), from, to });
    }
  }

  // Commits ---------------------------------------------------------------------------------------------------------

  async #tip(ref: string, hash: string, client: string): Promise<GitCommit | undefined> {
    const { closing, url } = this.#parts;
    await this.#open(client);
    const local = this.#local;
    const here = await local.commit(hash, closing);
    if (here !== undefined) return here;
    await this.#fetch(client, (batch) => batch.tips.set(hash, ref));
    const fetched = await local.commit(hash, closing);
    if (fetched !== undefined || (await local.has(hash, closing))) return fetched;
    this.#refs = undefined;
    throw new RemoteMoved(url, ref);
  }

  async #find(hash: string, refs: RefSnapshot, client: string): Promise<GitCommit | undefined> {
    const { closing } = this.#parts;
    await this.#open(client);
    const local = this.#local;
    // The branches of an older history may have what was taken back since.
    if (await this.#hasHistory()) await this.#ensureHistory(refs, client);
    const here = await local.commit(hash, closing);
    if (here !== undefined && (await local.isReachable(here.hash, closing))) return here;
    await this.#ensureHistory(refs, client);
    const found = await local.commit(hash, closing);
    return found !== undefined && (await local.isReachable(found.hash, closing)) ? found : undefined;
  }

  async #pinned(hash: string, client: string): Promise<GitCommit | undefined> {
    const { closing } = this.#parts;
    await this.#open(client);
    const local = this.#local;
    const here = await local.commit(hash, closing);
    if (here !== undefined) return here;
    // It was served before, so it is no stranger; many hosts give what no branch or tag has any more for its hash.
    await this.#fetch(client, (batch) => batch.tips.set(hash, hash)).catch((error: unknown) => {
      if (!isAbsentCommit(error)) throw error;
    });
    return local.commit(hash, closing);
  }

  async #ensureHistory(refs: RefSnapshot, client: string): Promise<void> {
    if (this.#historyOf === refs.sum) return;
    await this.#fetch(client, (batch) => {
      if (batch.history === undefined || batch.history.askedAt < refs.askedAt) batch.history = refs;
    });
  }

  // Fetching --------------------------------------------------------------------------------------------------------

  #fetch(client: string, add: (batch: Batch) => void): Promise<void> {
    this.#batch ??= this.#newBatch(client);
    add(this.#batch);
    return this.#batch.done;
  }

  #newBatch(client: string): Batch {
    const done = this.#exclusive(async () => {
      // Askers that came together are served together.
      await new Promise(setImmediate);
      if (this.#batch === batch) this.#batch = undefined;
      await this.#fetchBatch(batch, client);
    });
    const batch: Batch = { tips: new Map(), history: undefined, done };
    return batch;
  }

  async #fetchBatch({ tips, history }: Batch, client: string): Promise<void> {
    const { closing } = this.#parts;
    await this.#open(client);
    if (history !== undefined && this.#historyOf !== history.sum) await this.#fetchHistory(history, client);
    const commits = await Promise.all([...tips].map(([hash]) => this.#local.commit(hash, closing)));
    const missing = [...tips].filter((_, index) => commits[index] === undefined);
    if (missing.length === 0) return;
    try {
      await this.#fetchTips(missing, client);
    } catch (error) {
      // As go: hosts fail at shallow fetches in too many ways to tell them apart.
      const mayHelp = isSluiceError(error, "upstream_failed", "not_found", "upstream_invalid");
      if (!mayHelp || this.#lastRefs === undefined) throw error;
      await this.#fetchHistory(this.#lastRefs, client);
    }
  }

  /** One commit each, without history; in a mirror that has all history, with what it lacks of it. */
  async #fetchTips(tips: readonly (readonly [hash: string, ref: string])[], client: string): Promise<void> {
    const depth = (await this.#hasHistory()) ? [] : ["--depth=1"];
    // Under a name of our own they conflict with no other ref, and are kept for what was served of them.
    const input = tips.map(([hash, ref]) => `+${ref}:refs/sluice/at/${hash}\n`).join("");
    await this.#fetchRefs("tips", { args: [...fetchArgs, ...depth, "--stdin", "origin"], input, client });
  }

  async #fetchHistory(refs: RefSnapshot, client: string): Promise<void> {
    const { folder } = this.#parts;
    const depth = (await exists(join(folder, "shallow"))) ? ["--unshallow"] : [];
    const input = "+refs/heads/*:refs/heads/*\n+refs/tags/*:refs/tags/*\n";
    await this.#fetchRefs("history", { args: [...fetchArgs, "--prune", ...depth, "--stdin", "origin"], input, client });
    await writeFile(join(folder, historyMark), "");
    this.#historyOf = refs.sum;
  }

  async #hasHistory(): Promise<boolean> {
    const { folder } = this.#parts;
    return (await exists(join(folder, historyMark))) && !(await exists(join(folder, "shallow")));
  }

  async #fetchRefs(kind: "tips" | "history", run: Pick<RemoteRun, "args" | "input" | "client">): Promise<void> {
    const { folder, fetchTimeoutMs } = this.#parts;
    try {
      await this.#host.run(kind, {
        ...run,
        gitDir: folder,
        timeoutMs: fetchTimeoutMs,
        onStart: (pid) => void noteJob(folder, pid),
      });
    } catch (error) {
      await removeLeftovers(folder).catch(() => undefined);
      throw error;
    } finally {
      await noteJob(folder, undefined);
      this.#fetchesSinceGc += 1;
      this.#planGc();
    }
  }

  // The folder ------------------------------------------------------------------------------------------------------

  #open(client: string): Promise<void> {
    const { git, folder, url, closing } = this.#parts;
    return (this.#opened ??= openMirrorFolder({ git, folder, url, signal: closing }, async () => {
      const refs = await this.#readRefs(client, 0);
      return refs.byName.values().next().value?.length ?? 40;
    }).then(
      () => this.#noteUse(),
      (error: unknown) => {
        this.#opened = undefined;
        throw tellDisk(error, folder);
      },
    ));
  }

  #exclusive<T>(task: () => Promise<T>): Promise<T> {
    const running = this.#writing.then(task, task);
    this.#writing = running;
    running.catch(() => undefined);
    return running;
  }

  async #recover(error: unknown, generation: number): Promise<boolean> {
    if (error instanceof RemoteMoved) return true;
    if (!(error instanceof GitError) || error.failure !== "exit" || this.#parts.closing.aborted) return false;
    if (generation !== this.#generation) return true;
    const { folder, url, events } = this.#parts;
    const isBroken = isDamage(error) || !(await isRepository(folder));
    if (!isBroken) return false;
    await this.#exclusive(async () => {
      if (generation !== this.#generation) return;
      events.emit({ type: "git_mirror_damaged", repository: url, reason: error.stderr.slice(0, 300) });
      this.#startAnew();
      await setAsideFolder(folder);
    });
    return true;
  }

  #startAnew(): void {
    this.#generation += 1;
    this.#opened = undefined;
    this.#historyOf = undefined;
    this.#use = undefined;
    this.#local = new LocalRepo(this.#parts.git, this.#parts.folder);
  }

  /** Many fetches make many small packs, which slow down every read. */
  #planGc(): void {
    clearTimeout(this.#gcTimer);
    if (this.#fetchesSinceGc < gcAfterFetches || this.#parts.closing.aborted) return;
    this.#gcTimer = setTimeout(() => void this.#exclusive(() => this.#gc()).catch(() => undefined), gcIdleMs);
    this.#gcTimer.unref();
  }

  /** Removes nothing: what was served once stays, even when no branch or tag has it any more. */
  async #gc(): Promise<void> {
    const { git, folder, closing, fetchTimeoutMs } = this.#parts;
    this.#fetchesSinceGc = 0;
    const run = { gitDir: folder, signal: closing, timeoutMs: fetchTimeoutMs };
    try {
      await git.run({ ...run, args: ["repack", "--quiet", "-a", "-d", "--keep-unreachable"] });
      await git.run({ ...run, args: ["pack-refs", "--all"] });
      if (await this.#hasHistory()) await git.run({ ...run, args: ["commit-graph", "write", "--reachable"] });
    } finally {
      if (closing.aborted) await removeLeftovers(folder).catch(() => undefined);
    }
  }
}

const fetchArgs = ["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head"];
const historyMark = "sluice-history";

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** A folder that cannot be made is no fault of the host. */
function tellDisk(error: unknown, folder: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!/^E[A-Z]+$/.test(code)) return error;
  return new SluiceError("storage_failed", `the folder of the git mirrors cannot be written: ${code}`, {
    cause: error,
    details: { folder },
  });
}
