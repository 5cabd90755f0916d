import type { GitObject } from "./batch-output.ts";
import type { ObjectReader } from "./object-reader.ts";
import { parseTree, type TreeEntry, TreeError } from "./tree.ts";

/** Files below a folder, in git's order, their contents one behind the other. Links have none. */
export interface PackedFiles {
  readonly files: readonly { readonly path: string; readonly isLink: boolean; readonly size: number }[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface ModuleTreeOptions {
  readonly commit: string;
  /** Empty for the root. */
  readonly dir: string;
}

type Reader = Pick<ObjectReader, "read">;

/** More files, more bytes in them or in the trees of their folders goes through a file of `git archive`, and through no pipe. */
const maxFiles = 4_000;
const maxBytes = 16 * 1024 * 1024;
const objectsAtOnce = 64;
const empty = Buffer.alloc(0);

/**
 * The files of a module out of git's objects, where they are what `git archive` writes for sure (SPEC §5.1): without attributes, of
 * plain names and modes, not too many, and all of them there. Undefined where only git itself can tell.
 */
export async function readModuleTree(
  reader: Reader,
  { commit, dir }: ModuleTreeOptions,
): Promise<PackedFiles | undefined> {
  try {
    const top = await readTop(reader, { commit, dir });
    const files = top === undefined ? undefined : await readBelow(reader, top);
    return files === undefined ? undefined : await readContents(reader, files);
  } catch (error) {
    if (error instanceof TreeError) return undefined;
    throw error;
  }
}

/** The tree of `dir`, unless attributes of a folder above it may count. */
async function readTop(reader: Reader, { commit, dir }: ModuleTreeOptions): Promise<GitObject | undefined> {
  const parts = dir === "" ? [] : dir.split("/");
  const paths = ["", ...parts.map((_, index) => parts.slice(0, index + 1).join("/"))];
  const trees = await reader.read(paths.map((path) => `${commit}:${path}`));
  return trees.every((tree) => entriesOf(tree) !== undefined) ? trees.at(-1) : undefined;
}

interface Found {
  readonly path: string;
  readonly entry: TreeEntry;
}

/** Level by level, as every level is one question. */
async function readBelow(reader: Reader, top: GitObject): Promise<readonly Found[] | undefined> {
  let level = [{ path: "", tree: top }];
  const below = new Map<string, readonly Found[]>();
  let count = 0;
  let left = maxBytes;
  while (level.length > 0) {
    const folders: Found[] = [];
    for (const { path, tree } of level) {
      const entries = entriesOf(tree);
      if (entries === undefined) return undefined;
      const found = entries.map((entry) => ({ path: path + entry.name, entry }));
      below.set(path, found);
      count += found.length;
      if (count > maxFiles) return undefined;
      folders.push(...found.filter(({ entry }) => entry.kind === "tree"));
    }
    const trees = await readAll(reader, { found: folders, type: "tree", maxBytes: left });
    if (trees === undefined) return undefined;
    left -= sizeOf(trees.values());
    level = folders.flatMap(({ path, entry }) => {
      const tree = trees.get(entry.hash);
      return tree === undefined ? [] : [{ path: `${path}/`, tree }];
    });
  }
  return inOrder("");

  function inOrder(folder: string): Found[] {
    return (below.get(folder) ?? []).flatMap((found) => {
      if (found.entry.kind === "tree") return inOrder(`${found.path}/`);
      return found.entry.kind === "submodule" ? [] : [found];
    });
  }
}

async function readContents(reader: Reader, found: readonly Found[]): Promise<PackedFiles | undefined> {
  const plain = found.filter(({ entry }) => !isLink(entry));
  const blobs = await readAll(reader, { found: plain, type: "blob", maxBytes });
  if (blobs === undefined) return undefined;
  const parts = found.map(({ entry }) => (isLink(entry) ? undefined : blobs.get(entry.hash)?.content) ?? empty);
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  if (size > maxBytes) return undefined;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return {
    files: found.map(({ path, entry }, index) => ({ path, isLink: isLink(entry), size: parts[index]?.length ?? 0 })),
    bytes,
  };
}

interface Reading {
  readonly found: readonly Found[];
  readonly type: "tree" | "blob";
  readonly maxBytes: number;
}

/** By hash, each of them once however often it is found. Undefined when one is not there, is something else, or they are too much. */
async function readAll(
  reader: Reader,
  { found, type, maxBytes: most }: Reading,
): Promise<ReadonlyMap<string, GitObject> | undefined> {
  const hashes = [...new Set(found.map(({ entry }) => entry.hash))];
  const all = new Map<string, GitObject>();
  let left = most;
  for (let at = 0; at < hashes.length; at += objectsAtOnce) {
    for (const object of await reader.read(hashes.slice(at, at + objectsAtOnce), left)) {
      if (object?.type !== type || object.content === undefined) return undefined;
      left -= object.size;
      all.set(object.hash, object);
    }
  }
  return all;
}

function sizeOf(objects: Iterable<GitObject>): number {
  return [...objects].reduce((sum, { size }) => sum + size, 0);
}

function isLink({ mode }: TreeEntry): boolean {
  return mode === "120000";
}

/** Of a tree without anything that needs a second thought; else undefined. */
function entriesOf(tree: GitObject | undefined): readonly TreeEntry[] | undefined {
  if (tree?.type !== "tree" || tree.content === undefined) return undefined;
  const entries = parseTree(tree.content, tree.hash.length);
  const names = new Set(entries.map(({ name }) => name));
  return names.size === entries.length && entries.every(isPlain) ? entries : undefined;
}

const modes = new Set(["100644", "100755", "100664", "120000", "40000", "160000"]);

/** Git refuses names that some file system takes for `.git`, and gives no archive then. */
function isPlain(entry: TreeEntry): boolean {
  const { name, mode } = entry;
  if (!modes.has(mode) || !/^[\x20-\x7e]+$/.test(name) || /[\\/:~]/.test(name)) return false;
  if (name === "." || name === ".." || /^\.git[ .]*$/i.test(name)) return false;
  if (/^\.gitattributes$/i.test(name)) return false;
  return !(isLink(entry) && /^\.git/i.test(name));
}
