import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Names and contents of all files below a folder, to look for what must not be there. Bytes are characters. */
export async function contentsOf(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  // Some are gone again.
  const texts = await Promise.all(files.map((file) => readFile(file, "latin1").catch(() => "")));
  return [...files, ...texts].join("\n");
}
