import { readFile, stat } from "node:fs/promises";
import { type NoteSigner, parseSignerKey } from "../../protocol/sumdb/index.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { SluiceError } from "../../core/errors.ts";
import type { Secret } from "../../core/secret.ts";

export interface KeySources {
  /** Each has one key, or several in lines of their own. */
  readonly files: readonly string[];
  /** One key or several, from the environment. */
  readonly text?: Secret | undefined;
  /** Told of what is not safe and no reason to stop. */
  readonly warn: (message: string) => void;
}

/**
 * The keys of our own log, all of one name, in the order given: each tree is signed with every one. Empty when there are no
 * sources. Fails with `config_invalid`; no message has any part of a key.
 */
export async function readLogKeys({ files, text, warn }: KeySources): Promise<NoteSigner[]> {
  const signers: NoteSigner[] = [];
  for (const file of files) signers.push(...parseKeys(await readKeyFile(file, warn), `the key file ${file}`));
  if (text !== undefined) signers.push(...parseKeys(text.reveal(), "SLUICE_SUMDB_KEY"));
  checkTogether(signers);
  return signers;
}

async function readKeyFile(file: string, warn: (message: string) => void): Promise<string> {
  try {
    const { mode } = await stat(file);
    // Systems without users have no such bits.
    if (process.getuid !== undefined) checkMode(file, mode & 0o777, warn);
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw invalid(`the key file ${file} ${problemOf(error)}`, error);
  }
}

function checkMode(file: string, mode: number, warn: (message: string) => void): void {
  const octal = mode.toString(8).padStart(3, "0");
  if ((mode & 0o002) !== 0) {
    throw invalid(`the key file ${file} may be written by every user (mode ${octal}): run chmod 600 on it`);
  }
  if ((mode & 0o077) !== 0) {
    warn(
      `the key file ${file} is open to other users (mode ${octal}), who could sign in the name of the log: run chmod 600 on it`,
    );
  }
}

function parseKeys(text: string, place: string): NoteSigner[] {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const keys = lines.filter((line) => line !== "");
  if (keys.length === 0) throw invalid(`${place} has no key: make one with sluice sumdb init`);
  try {
    return keys.map((key) => parseSignerKey(key));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw invalid(`${place} has no key as sluice sumdb init makes one: ${error.message}`, error);
  }
}

function checkTogether(signers: readonly NoteSigner[]): void {
  const names = [...new Set(signers.map(({ name }) => name))];
  if (names.length > 1) {
    throw invalid(`the keys of our own log are of different names (${names.join(", ")}): a log has one`);
  }
  if (new Set(signers.map(({ keyHash }) => keyHash)).size < signers.length) {
    throw invalid(`a key of the log ${names.join()} is given twice: name each one once`);
  }
}

function problemOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "does not exist: make one with sluice sumdb init, or put back the one of this log";
  if (code === "EACCES") return "cannot be read: let the user Sluice runs as read it";
  if (code === "EISDIR") return "is a folder: name the file in it";
  return `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

function invalid(message: string, cause?: unknown): SluiceError {
  return new SluiceError("config_invalid", message, { cause });
}
