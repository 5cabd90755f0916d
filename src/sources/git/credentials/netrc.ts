import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Secret } from "../../../core/secret.ts";
import type { Environment } from "../../../net/egress.ts";

/** One machine of a `.netrc`. */
export interface NetrcEntry {
  readonly machine: string;
  readonly login: string;
  readonly password: Secret;
}

/**
 * The entries as the go command reads them (SPEC §1.7): words in pairs on each line, `macdef` up to an empty line, an entry once it has
 * machine, login and password in any order after `machine`. `default` is not used.
 */
export function parseNetrc(text: string): NetrcEntry[] {
  const entries: NetrcEntry[] = [];
  let entry: { machine: string; login: string; password: string } = { machine: "", login: "", password: "" };
  let inMacro = false;
  for (const line of text.split("\n")) {
    if (inMacro) {
      inMacro = line !== "";
      continue;
    }
    const words = line.split(/\s+/).filter((word) => word !== "");
    for (let index = 0; index + 1 < words.length; index += 2) {
      const value = words[index + 1] ?? "";
      if (words[index] === "machine") entry = { machine: value, login: "", password: "" };
      else if (words[index] === "login") entry.login = value;
      else if (words[index] === "password") entry.password = value;
      else if (words[index] === "macdef") inMacro = true;
      const { machine, login, password } = entry;
      if (machine === "" || login === "" || password === "") continue;
      entries.push({ machine, login, password: new Secret(password) });
      entry = { machine: "", login: "", password: "" };
    }
  }
  return entries;
}

/**
 * The entry for an https URL in the `.netrc` of this process, read anew each time; a file that is not there has none. The first one
 * for host and port, as go compares them, else for the host alone, as git does it.
 */
export async function findInNetrc(url: URL, env: Environment): Promise<NetrcEntry | undefined> {
  if (url.protocol !== "https:") return undefined;
  const entries = parseNetrc(await readNetrc(env));
  return [url.host, url.hostname]
    .map((machine) => entries.find((entry) => entry.machine === machine))
    .find((entry) => entry !== undefined);
}

async function readNetrc(env: Environment): Promise<string> {
  const named = env["NETRC"] ?? "";
  const home = env["HOME"] ?? "";
  if (named === "" && home === "") return "";
  const file = named === "" ? join(home, ".netrc") : named;
  try {
    return await readFile(file, "utf8");
  } catch {
    // As for go, a file that cannot be read is none: most requests need nothing of it.
    return "";
  }
}
