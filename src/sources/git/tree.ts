export interface TreeEntry {
  readonly name: string;
  readonly kind: "blob" | "tree" | "submodule";
  /** As git writes it: `100644`, `120000`, `40000`. */
  readonly mode: string;
  readonly hash: string;
}

/** Reads a tree object: `<mode> <name>`, a zero byte, the bytes of the hash, again and again. `hashDigits` is 40 or 64. */
export function parseTree(content: Buffer, hashDigits: number): TreeEntry[] {
  const hashBytes = hashDigits / 2;
  const entries: TreeEntry[] = [];
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(0x20, at);
    const zero = content.indexOf(0, space);
    const end = zero + 1 + hashBytes;
    if (space < 0 || zero < 0 || end > content.length) throw new TreeError("a tree object is cut off");
    const mode = content.toString("latin1", at, space);
    entries.push({
      mode,
      name: content.toString("utf8", space + 1, zero),
      kind: mode === "40000" ? "tree" : mode === "160000" ? "submodule" : "blob",
      hash: content.toString("hex", zero + 1, end),
    });
    at = end;
  }
  return entries;
}

/** The bytes are no tree object. */
export class TreeError extends Error {
  override readonly name = "TreeError";
}
