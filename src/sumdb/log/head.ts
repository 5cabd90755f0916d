import {
  checkTree,
  formatTree,
  type NoteSigner,
  proveTree,
  signNote,
  type Tree,
  treeProofIndexes,
} from "../../protocol/sumdb/index.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { SluiceError } from "../../core/errors.ts";
import type { SignedTree, SumStore } from "../../core/ports.ts";

export interface LogHeadOptions {
  readonly log: string;
  readonly store: SumStore;
  readonly signers: readonly NoteSigner[];
}

/** The signed tree of our own log: what is committed, and only when it continues what this process has signed before. */
export class LogHead {
  readonly #options: LogHeadOptions;
  #signed: SignedTree | undefined;
  #reading: Promise<unknown> | undefined;
  #next: Promise<SignedTree> | undefined;

  constructor(options: LogHeadOptions) {
    this.#options = options;
  }

  /**
   * The tree as it is committed after the call, so that it has every record that was appended before. All who call while
   * another one is read share the next.
   */
  read(): Promise<SignedTree> {
    this.#next ??= this.#readNext();
    return this.#next;
  }

  async #readNext(): Promise<SignedTree> {
    await this.#reading?.catch(() => undefined);
    this.#reading = this.#next;
    this.#next = undefined;
    return this.#readNow();
  }

  async #readNow(): Promise<SignedTree> {
    const { log, store, signers } = this.#options;
    const before = this.#signed;
    const tree = await store.logTree(log);
    if (before?.size === tree.size && Buffer.compare(before.hash, tree.hash) === 0) return before;
    if (before !== undefined) await this.#checkContinues(tree, before);
    this.#signed = { ...tree, note: signNote(formatTree(tree), signers) };
    return this.#signed;
  }

  /** Two trees that are both signed and do not continue each other are a fork, which no client ever forgives. */
  async #checkContinues(tree: Tree, before: Tree): Promise<void> {
    const { log, store } = this.#options;
    try {
      if (before.size === 0) return;
      const hashes = await store.treeHashes(log, treeProofIndexes(tree.size, before.size));
      checkTree(proveTree(tree.size, before.size, hashes), tree, before);
    } catch (cause) {
      if (!(cause instanceof ProtocolError)) throw cause;
      throw new SluiceError(
        "storage_failed",
        `the log ${JSON.stringify(log)} in ${store.name} had ${before.size} records and has ${tree.size} that do not continue them. ` +
          "It is not signed any more. Stop Sluice and put the newest copy of the database back.",
        { cause, details: { log, before: before.size, size: tree.size } },
      );
    }
  }
}
