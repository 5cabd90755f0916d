import { goQuote } from "../quote.ts";
import { foldName } from "./fold.ts";

/** A file or folder that some name mentioned, with the folders and files below it by folded name. */
interface Node {
  /** As it was spelled when it was first mentioned. */
  readonly path: string;
  readonly isDirectory: boolean;
  children: Map<string, Node> | undefined;
}

/**
 * Finds names that some file system cannot keep apart: equal under case folding, or a file where another name needs a
 * folder. `add` takes a clean path, remembers it and all its folders, and answers what is wrong with it, in go's words. Folders
 * may come any number of times.
 */
export class CollisionChecker {
  // A tree rather than one map of full paths: with the latter, a deep path would cost the square of its length.
  private readonly root: Node = { path: "", isDirectory: true, children: undefined };

  add(path: string, isDirectory: boolean): string | undefined {
    const known: { node: Node; path: string; isDirectory: boolean }[] = [];
    const folded = foldName(path);
    let parent = this.root;
    let end = -1;
    let foldedEnd = -1;
    do {
      const foldedStart = foldedEnd + 1;
      end = nextSlash(path, end + 1);
      foldedEnd = nextSlash(folded, foldedStart);
      const element = folded.slice(foldedStart, foldedEnd);
      const mention = { path: path.slice(0, end), isDirectory: isDirectory || end < path.length };
      parent.children ??= new Map();
      let node = parent.children.get(element);
      if (node === undefined) {
        node = { ...mention, children: undefined };
        parent.children.set(element, node);
      } else {
        known.push({ node, ...mention });
      }
      parent = node;
    } while (end < path.length);
    return firstProblem(known);
  }
}

/** Go looks from the file up to the root and reports the first problem. */
function firstProblem(known: readonly { node: Node; path: string; isDirectory: boolean }[]): string | undefined {
  for (const { node, path, isDirectory } of known.toReversed()) {
    if (node.path !== path) {
      return `case-insensitive file name collision: ${goQuote(node.path)} and ${goQuote(path)}`;
    }
    if (node.isDirectory !== isDirectory) return `entry ${goQuote(path)} is both a file and a directory`;
    if (!isDirectory) return `multiple entries for file ${goQuote(path)}`;
  }
  return undefined;
}

function nextSlash(text: string, start: number): number {
  const at = text.indexOf("/", start);
  return at === -1 ? text.length : at;
}
