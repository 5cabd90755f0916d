import { resolve } from "node:path";
import { readVariable, type Environment } from "./environment.ts";
import { overrideName, type Report } from "./checks.ts";
import type { UpstreamOverride } from "./schema.ts";
import type { Override } from "./upstream-schema.ts";
import { Secret } from "../core/secret.ts";

export type ReadFile = (path: string) => string;

export interface Surroundings {
  readonly env: Environment;
  /** From where relative paths count. */
  readonly folder: string;
  readonly readFile: ReadFile;
}

/** Reads what the overrides only name: certificates and passwords. Messages never quote a secret, nor a name that may be one. */
export function readOverrides(
  overrides: readonly Override[],
  around: Surroundings,
  report: Report,
): UpstreamOverride[] {
  return overrides.map((override, index) => {
    const ca = readNamedFile(override.caFile, around, (problem) => {
      report("upstream.override.ca_file", problem, { value: override.caFile, index });
    });
    if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
      report("upstream.override.ca_file", "holds no certificate in PEM form", { value: override.caFile, index });
    }
    return { ...override, url: overrideName(override), ca, password: readPassword(override, index, around, report) };
  });
}

function readPassword(override: Override, index: number, around: Surroundings, report: Report): Secret | undefined {
  const { passwordFile, passwordEnv } = override;
  if (passwordFile !== undefined && passwordEnv !== undefined) {
    report("upstream.override.password_env", "stands beside password_file; keep one of them", { index });
    return undefined;
  }
  if (passwordEnv !== undefined) {
    const password = readVariable(around.env, passwordEnv);
    if (password !== undefined) return new Secret(password);
    report("upstream.override.password_env", "names an environment variable that is not set", { index });
    return undefined;
  }
  const text = readNamedFile(passwordFile, around, (problem) => {
    report("upstream.override.password_file", problem, { value: passwordFile, index });
  });
  const password = text?.replace(/[\r\n]+$/, "");
  if (password === "") report("upstream.override.password_file", "is empty", { value: passwordFile, index });
  return password === undefined ? undefined : new Secret(password);
}

export function readNamedFile(
  name: string | undefined,
  around: Surroundings,
  fail: (problem: string) => void,
): string | undefined {
  if (name === undefined) return undefined;
  try {
    return around.readFile(resolve(around.folder, name));
  } catch (error) {
    fail(fileProblem(error));
    return undefined;
  }
}

/** The end of a sentence that begins with a file's name. */
export function fileProblem(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "ENOENT":
      return "does not exist; check the path";
    case "EACCES":
    case "EPERM":
      return "cannot be read by this user; check its permissions";
    case "EISDIR":
      return "is a folder; name a file";
    default:
      return `cannot be read (${String(code ?? error)})`;
  }
}
