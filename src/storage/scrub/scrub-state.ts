import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";
import { isMissing, storageError } from "../storage-error.ts";

const schema = z.object({
  /** The last file that was read of a pass that is under way, in byte order of keys. */
  cursor: z.string().optional(),
  /** When that pass began, and when the last one came to its end. Milliseconds since the epoch. */
  startedAt: z.number().optional(),
  completedAt: z.number().optional(),
});

/** How far a scrub is, so that a restart does not begin it again. */
export type ScrubState = z.infer<typeof schema>;

/** What cannot be read is as good as nothing: the scrub begins at the beginning. */
export async function readScrubState(file: string): Promise<ScrubState> {
  try {
    return schema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError || error instanceof z.ZodError) return {};
    throw storageError("read", file, error);
  }
}

/** Replaces the file at once or not at all. */
export async function writeScrubState(file: string, state: ScrubState): Promise<void> {
  const draft = `${file}.new`;
  try {
    await writeFile(draft, JSON.stringify(state));
    await rename(draft, file);
  } catch (error) {
    throw storageError("write", file, error);
  }
}
