import { trimSpace } from "../go-text.ts";
import type { Block, Line } from "./syntax.ts";

const deprecation = /(?:^|\n\n)Deprecated: *(.*?)(?:$|\n\n)/s;

/** The deprecation notice in the comments of a module directive; empty when there is none (SPEC §8.4). */
export function readDeprecation(line: Line, block: Block | undefined): string {
  return deprecation.exec(readDirectiveComment(line, block))?.[1] ?? "";
}

/** The comments above and behind a line, or those of its block if it has none, without `//` and joined by newlines. */
export function readDirectiveComment(line: Line, block: Block | undefined): string {
  const hasOwn = line.before.length > 0 || line.suffix.length > 0;
  const { before, suffix } = hasOwn || block === undefined ? line : block;
  return [...before, ...suffix]
    .filter((comment) => comment.startsWith("//"))
    .map((comment) => trimSpace(comment.slice("//".length)))
    .join("\n");
}
