import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSparseLog } from "../../../test/support/sparse-log.ts";
import { emptyTreeHash, nodeHash, recordHash } from "./hashes.ts";
import { checkRecord, checkTree, proveRecord, proveTree, recordProofIndexes, treeProofIndexes } from "./proofs.ts";
import { storedHashesFor, storedHashIndexesFor, treeHashIndexes, treeHashOf } from "./stored-hashes.ts";
import { storedHashCount } from "./stored-index.ts";

const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString("base64");
const small = 70;

/** All stored hashes of a log of different records, made by appending. */
function appended(size: number): Uint8Array[] {
  const stored: Uint8Array[] = [];
  for (let n = 0; n < size; n++) {
    const read = storedHashIndexesFor(n).map((index) => stored[index] ?? new Uint8Array());
    stored.push(...storedHashesFor(n, recordHash(`record ${n}\n`), read));
  }
  return stored;
}

/** RFC 6962, section 2.1, word by word. */
function rootOf(start: number, end: number): Uint8Array {
  if (end === start) return emptyTreeHash;
  if (end - start === 1) return recordHash(`record ${start}\n`);
  let left = 1;
  while (left * 2 < end - start) left *= 2;
  return nodeHash(rootOf(start, start + left), rootOf(start + left, end));
}

const stored = appended(small);
const read = (indexes: readonly number[]): Uint8Array[] => indexes.map((index) => stored[index] ?? new Uint8Array());
const treeOf = (size: number) => ({ size, hash: treeHashOf(size, read(treeHashIndexes(size))) });

describe("a log", () => {
  test("has the hash of RFC 6962 at every size", () => {
    expect(stored).toHaveLength(storedHashCount(small));
    for (let size = 0; size <= small; size++) expect(base64(treeOf(size).hash)).toBe(base64(rootOf(0, size)));
  });

  test("hashes records and nodes apart", () => {
    expect(base64(recordHash("hello world"))).toBe("TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=");
    expect(base64(emptyTreeHash)).toBe("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    expect(() => nodeHash(emptyTreeHash, emptyTreeHash.subarray(1))).toThrow("a hash has 32 bytes, not 31");
  });

  test("refuses hashes that are too many or too few", () => {
    expect(() => treeHashOf(3, read([0]))).toThrow("1 hashes were given where 2 are needed");
    expect(() => storedHashesFor(1, emptyTreeHash, [])).toThrow("0 hashes were given where 1 are needed");
    expect(() => storedHashesFor(0, new Uint8Array(31), [])).toThrow("a hash has 32 bytes, not 31");
    expect(() => proveRecord(5, 0, [])).toThrow("hashes were given");
    expect(() => storedHashIndexesFor(2 ** 52)).toThrow("record number 4503599627370496 is not a number from 0 to");
  });
});

describe("the proof of a record", () => {
  test("holds for every record of every small tree, and for no other", () => {
    for (let size = 1; size <= 20; size++) {
      for (let n = 0; n < size; n++) {
        const proof = proveRecord(size, n, read(recordProofIndexes(size, n)));
        const hash = recordHash(`record ${n}\n`);
        checkRecord(proof, treeOf(size), n, hash);
        const other = recordHash("other\n");
        expect(() => checkRecord(proof, treeOf(size), n, other)).toThrow("invalid transparency proof");
        expect(() => checkRecord([...proof, other], treeOf(size), n, hash)).toThrow("invalid transparency proof");
        for (const at of proof.keys()) {
          const tampered = proof.with(at, other);
          expect(() => checkRecord(tampered, treeOf(size), n, hash)).toThrow("invalid transparency proof");
          expect(() => checkRecord(proof.toSpliced(at, 1), treeOf(size), n, hash)).toThrow("invalid");
        }
      }
    }
  });

  test.each([0, 1, 5])("is refused beyond a tree of %i records", (size) => {
    expect(() => recordProofIndexes(size, size)).toThrow(`a tree of ${size} records has no record ${size}`);
    expect(() => checkRecord([], { size, hash: emptyTreeHash }, -1, emptyTreeHash)).toThrow("has no record -1");
  });
});

describe("the proof of an older tree", () => {
  test("holds for every beginning of every small tree, and for nothing else", () => {
    for (let size = 1; size <= 20; size++) {
      for (let old = 1; old <= size; old++) {
        const proof = proveTree(size, old, read(treeProofIndexes(size, old)));
        checkTree(proof, treeOf(size), treeOf(old));
        const other = recordHash("other\n");
        const forked = { size: old, hash: other };
        expect(() => checkTree(proof, treeOf(size), forked)).toThrow("invalid transparency proof");
        expect(() => checkTree([...proof, other], treeOf(size), treeOf(old))).toThrow("invalid");
        for (const at of proof.keys()) {
          expect(() => checkTree(proof.with(at, other), treeOf(size), treeOf(old))).toThrow("invalid");
        }
      }
    }
  });

  test.each([
    [5, 0],
    [5, 6],
    [0, 0],
  ])("is refused for %i and %i records", (size, old) => {
    expect(() => treeProofIndexes(size, old)).toThrow(`no tree of ${old} records can be proven in one of ${size}`);
  });
});

test("proofs hold in logs of any size", () => {
  const sizes = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat(), fc.integer({ min: 0, max: 52 }));
  fc.assert(
    fc.property(sizes, ([a, b, mark, bits]) => {
      const size = 1 + (a % 2 ** bits);
      const n = b % size;
      const log = createSparseLog([n, mark % size]);
      const tree = log.tree(size);
      const proof = proveRecord(size, n, log.hashes(recordProofIndexes(size, n)));
      checkRecord(proof, tree, n, recordHash(`record ${n}\n`));
      expect(() => checkRecord(proof, tree, n, recordHash("record\n"))).toThrow("invalid transparency proof");
      checkTree(proveTree(size, n + 1, log.hashes(treeProofIndexes(size, n + 1))), tree, log.tree(n + 1));
    }),
  );
});
