import { statSync } from "node:fs";

/** Which file stands under this name, to notice that it was moved or deleted. Undefined when there is none, and for `:memory:`. */
export function fileIdOf(file: string): string | undefined {
  if (file === ":memory:") return undefined;
  const stats = statSync(file, { throwIfNoEntry: false, bigint: true });
  return stats && `${stats.dev}-${stats.ino}`;
}
