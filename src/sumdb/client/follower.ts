import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Clock, Events, FetchContext, SignedTree, SumStore } from "../../core/ports.ts";
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
/** Of a log that was never followed. Nobody signed it. */
const noTree: SignedTree = { size: 0, hash: emptyTreeHash, note: new Uint8Array() };

/**
 * Follows a log: from one signed tree to the next, and only when the next is proven to continue the one before. What the store has
 * is the truth, as other processes follow the same log, and an operator may decide to forget its tree.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #loads = new Singleflight<Timeline>();
  #timeline: Timeline | undefined;
  /** The tree that the store has, as far as we know. */
  #kept: SignedTree | undefined;
  #fork: { readonly error: SluiceError; checkedAt: number } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  /** The history as it is known now. Fails with `integrity` when there are two. */
  async timeline(): Promise<Timeline> {
    if (this.#timeline !== undefined) return this.#timeline;
    const { clock } = this.#options;
    if (this.#fork !== undefined && clock.now() - this.#fork.checkedAt < forkCheckMs) throw this.#fork.error;
    return this.#loads.run("", () => this.#load());
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
    const timeline = await this.timeline();
    return (await this.#hasMoved()) ? this.timeline() : timeline;
  }

  async #follow(tree: SignedTree, context: FetchContext, id?: number): Promise<Timeline> {
    for (;;) {
      const timeline = await this.timeline();
      if (id !== undefined && id < timeline.tree.size) return timeline;
      const comparison = await timeline.compare(tree, context, id);
      if (!comparison.isConsistent) {
        if (await this.#hasMoved()) continue;
        throw await this.#declareFork(timeline.tree, tree);
      }
      if (tree.size < timeline.tree.size || (tree.size === timeline.tree.size && timeline.isFollowed)) {
        return timeline;
      }
      await timeline.keepProof(comparison);
      if (!(await this.#keep(tree))) continue;
      timeline.advance(tree, comparison);
      return timeline;
    }
  }

  async #load(): Promise<Timeline> {
    const { name, store, clock } = this.#options;
    const [fork] = await store.forks(name);
    if (fork !== undefined) {
      const error = forked(name, this.#sizeOf(fork.ours), this.#sizeOf(fork.theirs));
      this.#fork = { error, checkedAt: clock.now() };
      throw error;
    }
    this.#fork = undefined;
    this.#kept = await store.tree(name);
    this.#timeline = new Timeline({ ...this.#options, tree: this.#kept ?? noTree });
    return this.#timeline;
  }

  /** Answers false when the store has moved on, and what is known has to be read again. */
  async #keep(tree: SignedTree): Promise<boolean> {
    const { name, store, events } = this.#options;
    try {
      if (tree.size === 0 || (await store.setTree(name, tree, this.#kept?.size ?? 0))) {
        this.#kept = tree;
        return true;
      }
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      // It is proven all the same. What is not kept is proven anew after a restart, from an older tree.
      events.emit({ type: "store_failed", store: store.name, operation: "keep a tree", error });
      return true;
    }
    if (await this.#hasMoved()) return false;
    throw new SluiceError("storage_failed", `${store.name} does not keep the tree of ${name}, and does not say why`);
  }

  /** Whether the store has something else than we think: another tree, or a fork. Then it is read again. */
  async #hasMoved(): Promise<boolean> {
    const { name, store } = this.#options;
    const [[fork], kept] = await Promise.all([store.forks(name), store.tree(name)]);
    if (fork === undefined && isSameTree(kept ?? noTree, this.#kept ?? noTree)) return false;
    this.#timeline = undefined;
    return true;
  }

  async #declareFork(ours: SignedTree, theirs: SignedTree): Promise<SluiceError> {
    const { name, store, clock, events } = this.#options;
    const error = forked(name, ours.size, theirs.size);
    this.#timeline = undefined;
    this.#fork = { error, checkedAt: clock.now() };
    events.emit({ type: "sum_fork", database: name, ourSize: ours.size, theirSize: theirs.size });
    await store.addFork(name, { ours: ours.note, theirs: theirs.note, seenAt: clock.now() });
    return error;
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
