import { LRUCache } from "lru-cache";
import { isSluiceError } from "../../core/errors.ts";
import type { SignedTree } from "../../core/ports.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { type NoteVerifier, parseLookup, parseRecord } from "../../protocol/sumdb/index.ts";
import { base64, countOf, type Findings } from "./finding.ts";
import type { LogReader } from "./log-reader.ts";
import { Prover } from "./prover.ts";
import { openTree } from "./signed-tree.ts";

export interface LookupCheckOptions {
  readonly log: LogReader;
  readonly verifiers: readonly NoteVerifier[];
  /** The tree that is audited. */
  readonly tree: SignedTree;
  readonly findings: Findings;
}

/** Trees that lookups came with, whose place in the history is known. */
const maxTrees = 1000;

/** Compares what a log answers to lookups with its records, and the trees that it attaches with the one that is audited. */
export class LookupCheck {
  readonly #options: LookupCheckOptions;
  readonly #prover: Prover;
  /** By their notes. */
  readonly #trees = new LRUCache<string, Promise<SignedTree>>({ max: maxTrees });

  constructor(options: LookupCheckOptions) {
    this.#options = options;
    this.#prover = new Prover(options.log);
  }

  /** Fails only when the log cannot be asked. What is wrong is among the findings. */
  async check(id: number, text: string): Promise<void> {
    const { findings } = this.#options;
    try {
      await this.#compare(id, text);
    } catch (error) {
      const isWrong = error instanceof ProtocolError || isSluiceError(error, "integrity", "not_found");
      if (!isWrong) throw error;
      findings.add(`the lookup of record ${id}`, ["the tiles have", firstLine(text)], ["the lookup", error.message]);
    }
  }

  async #compare(id: number, text: string): Promise<void> {
    const { log, findings } = this.#options;
    const [line] = parseRecord(text);
    if (line === undefined) return;
    const { modulePath, version } = line;
    const lookup = parseLookup(await log.lookup(modulePath, version));
    const place = `the lookup of record ${id} (${modulePath} ${version})`;
    if (lookup.id !== id) {
      findings.add(place, ["the tiles have it as record", String(id)], ["the lookup as record", String(lookup.id)]);
    } else if (lookup.text !== text) {
      findings.add(place, ["the tiles have", text.trimEnd()], ["the lookup has", lookup.text.trimEnd()]);
    }
    const tree = await this.#treeOf(lookup.note);
    if (tree.size <= id) {
      findings.add(
        place,
        ["must come with a tree of at least", countOf(id + 1, "record")],
        ["comes with one of", `${tree.size}`],
      );
    }
  }

  /** Checked once, however many lookups come with it. */
  #treeOf(note: Uint8Array): Promise<SignedTree> {
    const key = Buffer.from(note).toString("latin1");
    const known = this.#trees.get(key);
    if (known !== undefined) return known;
    const checked = this.#checkTree(note);
    this.#trees.set(key, checked);
    return checked;
  }

  async #checkTree(note: Uint8Array): Promise<SignedTree> {
    const tree = openTree(note, this.#options.verifiers, "its signed tree");
    await this.#findPlace(tree);
    return tree;
  }

  async #findPlace(tree: SignedTree): Promise<void> {
    const [older, newer] =
      tree.size <= this.#options.tree.size ? [tree, this.#options.tree] : [this.#options.tree, tree];
    const proven = older.size === newer.size ? newer.hash : await this.#prover.treeHash(newer, older.size);
    if (Buffer.compare(proven, older.hash) === 0) return;
    this.#options.findings.add(
      `two histories: the signed trees of ${older.size} and of ${countOf(newer.size, "record")}`,
      [`the tree of ${older.size} has`, base64(older.hash)],
      [`the tree of ${newer.size} has, for its first ${older.size}`, base64(proven)],
    );
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
