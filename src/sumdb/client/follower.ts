import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, FetchContext, SignedTree, SumStore } from "../../core/ports.ts";
import { Singleflight } from "../../core/singleflight.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { emptyTreeHash, equalHashes, type NoteVerifier, openNote, parseTree } from "../../protocol/sumdb/index.ts";
import type { LogFiles } from "./log-files.ts";
import { forked } from "./problems.ts";
import { Timeline } from "./timeline.ts";

export interface FollowerOptions {
  /** Of the database. */
  readonly name: string;
  readonly verifiers: readonly NoteVerifier[];
  readonly store: SumStore;
  readonly files: LogFiles;
  readonly clock: Clock;
  readonly events: Events;
  readonly memoryBytes?: number | undefined;
}

/** Whether an operator has settled a fork is looked up this often. */
const forkCheckMs = 1000;
/** Whether another process has seen a fork, or an operator has the tree forgotten, is looked up this often. */
const storeCheckMs = 5000;
/** Of a log that was never followed. Nobody signed it. */
const noTree: SignedTree = { size: 0, hash: emptyTreeHash, note: new Uint8Array() };

interface Followed {
  readonly timeline: Timeline;
  /** The tree that the store had when we last wrote or read it there. */
  kept: SignedTree | undefined;
}

/**
 * Follows a log: from one signed tree to the next, and only when the next is proven to continue the one before. What the store has
 * is the truth, as other processes follow the same log, and an operator may decide to forget its tree.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #loads = new Singleflight<Followed>();
  #followed: Followed | undefined;
  #checkedAt = 0;
  #fork: { readonly error: SluiceError; checkedAt: number } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** The history as it is known now. Fails with `integrity` when there are two. */
  async timeline(): Promise<Timeline> {
    return (await this.#current()).timeline;
  }

  /** Reads a signed tree. Nothing is proven but who signed it. Throws a `ProtocolError`. */
  open(note: Uint8Array): SignedTree {
    const { text } = openNote(note, this.#options.verifiers);
    return { ...parseTree(text), note: Uint8Array.from(note) };
  }

  /**
   * Compares a signed tree with ours, and goes on to it when it is larger; with an `id`, only when ours does not have that record yet.
   * Fails with `integrity` when it does not continue ours, nor ours it.
   */
  follow(tree: SignedTree, context: FetchContext, id?: number): Promise<Timeline> {
    const turn = this.#turn.then(() => this.#follow(tree, context, id));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Takes over how far others, who share the store, have followed the log. */
  async catchUp(): Promise<Timeline> {
    const followed = await this.#current();
    return (await this.#hasMoved(followed)) ? this.timeline() : followed.timeline;
  }

  async #follow(tree: SignedTree, context: FetchContext, id?: number): Promise<Timeline> {
    for (;;) {
      const followed = await this.#current();
      const { timeline } = followed;
      if (id !== undefined && id < timeline.tree.size) return timeline;
      const comparison = await timeline.compare(tree, context, id);
      if (!comparison.isConsistent) {
        if (await this.#hasMoved(followed)) continue;
        throw await this.#declareFork(timeline.tree, tree);
      }
      if (tree.size < timeline.tree.size || (tree.size === timeline.tree.size && timeline.isFollowed)) {
        return timeline;
      }
      await timeline.keepProof(comparison);
      if (!(await this.#keep(tree, followed))) continue;
      timeline.advance(tree, comparison);
      return timeline;
    }
  }

  async #current(): Promise<Followed> {
    const { clock } = this.#options;
    const followed = this.#followed;
    if (followed !== undefined && clock.now() - this.#checkedAt >= storeCheckMs) await this.#checkStore(followed);
    if (this.#followed !== undefined) return this.#followed;
    if (this.#fork !== undefined && clock.now() - this.#fork.checkedAt < forkCheckMs) throw this.#fork.error;
    return this.#loads.run("", () => this.#load());
  }

  async #load(): Promise<Followed> {
    const { name, store, clock } = this.#options;
    const [fork] = await store.forks(name);
    if (fork !== undefined) {
      const error = forked(name, this.#sizeOf(fork.ours), this.#sizeOf(fork.theirs));
      this.#fork = { error, checkedAt: clock.now() };
      throw error;
    }
    this.#fork = undefined;
    this.#checkedAt = clock.now();
    const kept = await store.tree(name);
    this.#followed = { timeline: new Timeline({ ...this.#options, tree: kept ?? noTree }), kept };
    return this.#followed;
  }

  /** Answers false when the store has moved on, and what is known has to be read again. */
  async #keep(tree: SignedTree, followed: Followed): Promise<boolean> {
    const { name, store, events } = this.#options;
    try {
      if (tree.size === 0 || (await store.setTree(name, tree, followed.kept?.size ?? 0))) {
        followed.kept = tree;
        return true;
      }
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      // It is proven all the same. What is not kept is proven anew after a restart, from an older tree.
      events.emit({ type: "store_failed", store: store.name, operation: "keep a tree", error });
      return true;
    }
    if (await this.#hasMoved(followed)) return false;
    throw new SluiceError("storage_failed", `${store.name} does not keep the tree of ${name}, and does not say why`);
  }

  /** Whether the store has something else than we think: another tree, or a fork. Then it is read again. */
  async #hasMoved(followed: Followed): Promise<boolean> {
    const { name, store } = this.#options;
    const [[fork], kept] = await Promise.all([store.forks(name), store.tree(name)]);
    if (fork === undefined && isSameTree(kept ?? noTree, followed.kept ?? noTree)) return false;
    this.#drop(followed);
    return true;
  }

  /** A larger tree of another process is no reason to forget what is known: it continues ours. */
  async #checkStore(followed: Followed): Promise<void> {
    const { name, store, clock, events } = this.#options;
    this.#checkedAt = clock.now();
    try {
      const [[fork], kept] = await Promise.all([store.forks(name), store.tree(name)]);
      if (fork !== undefined || (kept?.size ?? 0) < (followed.kept?.size ?? 0)) this.#drop(followed);
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      events.emit({ type: "store_failed", store: store.name, operation: "read a tree", error });
    }
  }

  async #declareFork(ours: SignedTree, theirs: SignedTree): Promise<SluiceError> {
    const { name, store, clock, events } = this.#options;
    const error = forked(name, ours.size, theirs.size);
    this.#followed = undefined;
    this.#fork = { error, checkedAt: clock.now() };
    events.emit({ type: "sum_fork", database: name, ourSize: ours.size, theirSize: theirs.size });
    await store.addFork(name, { ours: ours.note, theirs: theirs.note, seenAt: clock.now() });
    return error;
  }

  /** What is known has to be read from the store again. */
  #drop(followed: Followed): void {
    if (this.#followed === followed) this.#followed = undefined;
  }

  /** Of a note that was signed once, by a key that may have been replaced since. */
  #sizeOf(note: Uint8Array): number {
    try {
      return parseTree(Buffer.from(note).toString()).size;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return 0;
    }
  }
}

function isSameTree(a: SignedTree, b: SignedTree): boolean {
  return a.size === b.size && equalHashes(a.hash, b.hash);
}
