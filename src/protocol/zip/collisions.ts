import { goQuote } from "../quote.ts";
import { foldName } from "./fold.ts";

/** A file or folder that some name mentioned, with what is below it by folded name. */
interface Node {
  /** As it was spelled when it was first mentioned. */
  readonly path: string;
  readonly isDirectory: boolean;
  /** The name that first mentioned it had no problem, and so neither has its path nor any folder above it. */
  isSettled: boolean;
  children: Map<string, Node> | undefined;
}

/** A node on the way to a name. The name mentions it as `name.slice(0, end)`. */
interface Step {
  readonly node: Node;
  readonly end: number;
  readonly isNew: boolean;
}

/**
 * Finds names that some file system cannot keep apart: equal under case folding, or a file where another name needs a
 * folder. `add` takes a clean path, remembers it and all its folders, and answers what is wrong with it, in go's words.
 * Folders may come any number of times.
 */
export class CollisionChecker {
  // A tree rather than one map of full paths: with the latter, a deep path would cost the square of its length.
  private readonly root: Node = { path: "", isDirectory: true, isSettled: true, children: undefined };
  private count = 0;

  /** Files and folders remembered. */
  get size(): number {
    return this.count;
  }

  add(path: string, isDirectory: boolean): string | undefined {
    const steps = this.walk(path, isDirectory);
    const problem = problemOf(steps, path, isDirectory);
    if (problem === undefined) {
      for (const { node, isNew } of steps) if (isNew) node.isSettled = true;
    }
    return problem;
  }

  private walk(path: string, isDirectory: boolean): Step[] {
    const folded = foldName(path);
    const steps: Step[] = [];
    let parent = this.root;
    let end = -1;
    let foldedEnd = -1;
    while (end < path.length) {
      const foldedStart = foldedEnd + 1;
      end = nextSlash(path, end + 1);
      foldedEnd = nextSlash(folded, foldedStart);
      const element = folded.slice(foldedStart, foldedEnd);
      const known = parent.children?.get(element);
      const node = known ?? {
        path: path.slice(0, end),
        isDirectory: isDirectory || end < path.length,
        isSettled: false,
        children: undefined,
      };
      if (known === undefined) {
        (parent.children ??= new Map()).set(element, node);
        this.count++;
      }
      steps.push({ node, end, isNew: known === undefined });
      parent = node;
    }
    return steps;
  }
}

/** Go looks from the file up to the root and reports the first problem. */
function problemOf(steps: readonly Step[], path: string, isDirectory: boolean): string | undefined {
  for (let index = steps.length - 1; index >= 0; index--) {
    const step = steps[index];
    if (step === undefined || step.isNew) continue;
    const { node } = step;
    const mentioned = path.slice(0, step.end);
    if (node.path !== mentioned) {
      return `case-insensitive file name collision: ${goQuote(node.path)} and ${goQuote(mentioned)}`;
    }
    const isFile = !isDirectory && step.end === path.length;
    if (node.isDirectory === isFile) return `entry ${goQuote(mentioned)} is both a file and a directory`;
    if (isFile) return `multiple entries for file ${goQuote(mentioned)}`;
    if (node.isSettled) return undefined;
  }
  return undefined;
}

function nextSlash(text: string, start: number): number {
  const at = text.indexOf("/", start);
  return at === -1 ? text.length : at;
}
