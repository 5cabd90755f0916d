import {
  recordHash,
  storedHashCount,
  storedHashesFor,
  storedHashIndexesFor,
  treeHashIndexes,
  treeHashOf,
} from "../../protocol/sumdb/index.ts";
import type { LogTree } from "../../core/ports.ts";

/** The tree of a log to which records come, of the few hashes that the next ones need. Nothing is written anywhere. */
export class GrowingTree {
  #size: number;
  /** By stored hash index: of the largest complete subtrees. */
  #edge: Map<number, Uint8Array>;

  /** `edge` has the hashes at `treeHashIndexes(size)`. */
  constructor(size: number, edge: readonly Uint8Array[]) {
    this.#size = size;
    this.#edge = new Map(treeHashIndexes(size).map((index, place) => [index, edge[place] ?? new Uint8Array()]));
  }

  get tree(): LogTree {
    return { size: this.#size, hash: treeHashOf(this.#size, this.#hashes(treeHashIndexes(this.#size))) };
  }

  add(text: string): void {
    const id = this.#size;
    const hashes = storedHashesFor(id, recordHash(text), this.#hashes(storedHashIndexesFor(id)));
    for (const [offset, hash] of hashes.entries()) this.#edge.set(storedHashCount(id) + offset, hash);
    this.#size += 1;
    const edge = treeHashIndexes(this.#size);
    if (this.#edge.size > 2 * edge.length + 64) {
      const kept = this.#hashes(edge);
      this.#edge = new Map(edge.map((index, place) => [index, kept[place] ?? new Uint8Array()]));
    }
  }

  #hashes(indexes: readonly number[]): Uint8Array[] {
    return indexes.map((index) => {
      const hash = this.#edge.get(index);
      if (hash === undefined) throw new Error(`the hash ${index} is not at the edge of a tree of ${this.#size}`);
      return hash;
    });
  }
}
