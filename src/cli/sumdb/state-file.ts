import { readFile, rename, writeFile } from "node:fs/promises";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { SignedTree } from "../../core/ports.ts";
import type { NoteVerifier } from "../../protocol/sumdb/index.ts";
import { openTree } from "../../sumdb/audit/signed-tree.ts";

/** The signed tree of the last audit, as it stands in a file; undefined when there is none yet. Fails with `config_invalid`. */
export async function readState(file: string, verifiers: readonly NoteVerifier[]): Promise<SignedTree | undefined> {
  let note: Uint8Array;
  try {
    note = await readFile(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw unusable(file, "cannot be read", error);
  }
  try {
    return openTree(note, verifiers, file);
  } catch (error) {
    if (!isSluiceError(error, "integrity")) throw error;
    throw unusable(file, "has no tree of this log, by the keys that are known", error);
  }
}

/** Replaces the file at once or not at all. */
export async function writeState(file: string, tree: SignedTree): Promise<void> {
  const draft = `${file}.new`;
  try {
    await writeFile(draft, tree.note, { flush: true });
    await rename(draft, file);
  } catch (error) {
    throw unusable(file, "cannot be written", error);
  }
}

function unusable(file: string, problem: string, error: unknown): SluiceError {
  const reason = error instanceof Error ? error.message : String(error);
  return new SluiceError(
    "config_invalid",
    `--state ${file} ${problem}: ${reason}\nName another file, or move this one away.`,
    {
      cause: error,
    },
  );
}
