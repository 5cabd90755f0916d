import { emptyTreeHash, hashBytes, nodeHash, recordHash, type Tile, tilePath } from "../../protocol/sumdb/index.ts";
import { base64, type Findings } from "./finding.ts";

/**
 * Computes the hashes of a log from its records up, next to the tiles that the log answers. Tiles come in the order in which
 * the log completes them; at every moment there is one unfinished row of hashes for each level.
 *
 * Each row is compared with the one below only, and goes on with what the log answers: whatever was changed is found once, where
 * it is, and not again in every hash above.
 */
export class TreeCheck {
  readonly #findings: Findings;
  readonly #rows: Uint8Array[][] = [];
  #records: readonly string[] = [];

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** What the next tile of level 0 must be made of. */
  expectRecords(texts: readonly string[]): void {
    this.#records = texts;
    this.#rows[0] = texts.map(recordHash);
  }

  /** A tile of hashes as the log answers it; undefined when it could not be had. A row without expectation is taken as it is. */
  addTile(tile: Tile, bytes: Uint8Array | undefined): void {
    const expected = this.#rows[tile.level] ?? [];
    const answered = bytes === undefined ? expected : rowOf(bytes);
    for (const [position, hash] of expected.entries()) {
      const found = answered[position];
      if (found === undefined || Buffer.compare(found, hash) === 0) continue;
      if (tile.level === 0) this.#addRecord(tile, { position, found, hash });
      else {
        this.#findings.add(
          `${tilePath(tile)}, hash ${position}`,
          ["the tile has", base64(found)],
          [`the tile below it, of level ${tile.level - 1}, makes`, base64(hash)],
        );
      }
    }
    this.#rows[tile.level] = answered;
  }

  /** Moves on from a full tile: its hash joins the row above. */
  closeRow(level: number): void {
    const above = (this.#rows[level + 1] ??= []);
    above.push(treeHash(this.#rows[level] ?? []));
    this.#rows[level] = [];
  }

  /** The hash of the tree of all records so far; with `width`, of only so many of the unfinished row of level 0. */
  hash(width?: number): Uint8Array {
    let rest: Uint8Array | undefined;
    for (const [level, row] of this.#rows.entries()) {
      const entries = level === 0 && width !== undefined ? row.slice(0, width) : row;
      const parts = rest === undefined ? entries : [...entries, rest];
      if (parts.length > 0) rest = treeHash(parts);
    }
    return rest ?? emptyTreeHash;
  }

  #addRecord(
    tile: Tile,
    at: { readonly position: number; readonly found: Uint8Array; readonly hash: Uint8Array },
  ): void {
    const [modulePath = "", version = ""] = (this.#records[at.position] ?? "").split(" ");
    this.#findings.add(
      `record ${tile.index * 2 ** tile.height + at.position} (${modulePath} ${version})`,
      [`${tilePath(tile)} has`, base64(at.found)],
      ["the record hashes to", base64(at.hash)],
    );
  }
}

/** The hash over a row of subtrees of one size, of which the last may be smaller (RFC 6962 §2.1). */
function treeHash(row: readonly Uint8Array[]): Uint8Array {
  const [first] = row;
  if (first === undefined) return emptyTreeHash;
  if (row.length === 1) return first;
  const left = 2 ** (31 - Math.clz32(row.length - 1));
  return nodeHash(treeHash(row.slice(0, left)), treeHash(row.slice(left)));
}

function rowOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length / hashBytes }, (_, entry) =>
    bytes.subarray(entry * hashBytes, (entry + 1) * hashBytes),
  );
}
