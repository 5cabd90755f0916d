import { expect, test } from "vitest";
import { parseTree, TreeError } from "./tree.ts";

function entry(mode: string, name: string, hash: string): Buffer {
  return Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(hash, "hex")]);
}

test.each([40, 64])("reads the entries of a tree with hashes of %i digits", (digits) => {
  // The byte of a zero and of a space in a hash end nothing.
  const hash = "0020".repeat(digits / 4);
  const content = Buffer.concat([
    entry("100644", "a b", hash),
    entry("120000", "é", hash),
    entry("40000", "dir", hash),
    entry("160000", "sub", hash),
  ]);
  expect(parseTree(content, digits)).toEqual([
    { mode: "100644", name: "a b", kind: "blob", hash },
    { mode: "120000", name: "é", kind: "blob", hash },
    { mode: "40000", name: "dir", kind: "tree", hash },
    { mode: "160000", name: "sub", kind: "submodule", hash },
  ]);
});

test.each(["100644", "100644 a", "100644 a\0short"])("what is cut off is no tree: %j", (content) => {
  expect(() => parseTree(Buffer.from(content), 40)).toThrow(TreeError);
});
