import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { SluiceError } from "../../../core/errors.ts";
import { Secret } from "../../../core/secret.ts";
import type { Environment } from "../../../net/egress.ts";
import type { SecretSource } from "./credential.ts";

export interface SecretReader {
  /** The secret as it is now. Fails with `upstream_refused`; the message says what to do and has no secret in it. */
  read(source: SecretSource, purpose: string): Promise<Secret>;
  /** Runs the command again next time. */
  forget(source: SecretSource): void;
}

const commandTimeoutMs = 30_000;
const maxCommandBytes = 64 * 1024;

/** What a command printed is believed for this long; a secret that is refused is forgotten before. */
const commandTtlMs = 5 * 60_000;

/** Files and variables are read at each use, which costs nothing beside a fetch; so a rotated secret needs no restart. */
export function createSecretReader(env: Environment, now: () => number): SecretReader {
  const printed = new Map<SecretSource, { readonly text: Promise<string>; readonly until: number }>();

  const runOnce = (source: SecretSource, command: readonly [string, ...string[]]): Promise<string> => {
    const known = printed.get(source);
    if (known !== undefined && now() < known.until) return known.text;
    const text = runCommand(command, env);
    printed.set(source, { text, until: now() + commandTtlMs });
    text.catch(() => printed.delete(source));
    return text;
  };

  const readText = (source: SecretSource): Promise<string> => {
    if (source.kind === "file") return readFile(source.file, "utf8");
    if (source.kind === "command") return runOnce(source, source.command);
    const value = env[source.name];
    return value === undefined ? Promise.reject(new Error("it is not set")) : Promise.resolve(value);
  };

  return {
    async read(source, purpose) {
      const text = await readText(source).catch((error: unknown) => {
        throw unreadable(source, purpose, problemOf(error));
      });
      const secret = text.replace(/[\r\n]+$/, "");
      if (secret === "") throw unreadable(source, purpose, "it is empty");
      return new Secret(secret);
    },
    forget: (source) => void printed.delete(source),
  };
}

/** Its standard error is not passed on: it may hold the secret. */
function runCommand([program, ...args]: readonly [string, ...string[]], env: Environment): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      env: { ...env },
      timeout: commandTimeoutMs,
      maxBuffer: maxCommandBytes,
      killSignal: "SIGKILL",
    } as const;
    const child = execFile(program, args, options, (error, stdout) => {
      if (error === null) resolve(stdout);
      else if (error.killed === true)
        reject(new Error(`it did not end within ${commandTimeoutMs / 1000} s, or printed too much`));
      else if (typeof error.code === "number") reject(new Error(`it ended with exit code ${error.code}`));
      else reject(Object.assign(new Error("it cannot be started"), { code: error.code }));
    });
    child.stdin?.end();
  });
}

function unreadable(source: SecretSource, purpose: string, problem: string): SluiceError {
  return new SluiceError("upstream_refused", `${purpose} cannot be read from ${placeOf(source)}: ${problem}`);
}

/** Arguments of a command may be secrets themselves. */
function placeOf(source: SecretSource): string {
  if (source.kind === "file") return `the file ${source.file}`;
  return source.kind === "env" ? `the variable ${source.name}` : `the command ${source.command[0]}`;
}

function problemOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "it does not exist";
  if (code === "EACCES") return "Sluice's user has no permission";
  if (code === "EISDIR") return "it is a folder";
  return error instanceof Error && code === undefined ? error.message : String(code);
}
