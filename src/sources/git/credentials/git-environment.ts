import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SluiceError } from "../../../core/errors.ts";
import { onDisk } from "../prepare-once.ts";
import type { GitCredential } from "./credential.ts";

export interface GitEnvironment {
  /** For the environment of git, in addition to everything else. It holds a secret: never print it. */
  readonly env: Readonly<Record<string, string>>;
  /** Takes away what stands on the disk for it. Safe to call twice. */
  dispose(): Promise<void>;
}

/**
 * Run by git's own shell. The secret comes through the environment and a builtin, so that no argument of any process has it. Git also
 * calls it with `store` and `erase`, which it has no answer to.
 */
const helper = `!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$SLUICE_GIT_USERNAME" "$SLUICE_GIT_PASSWORD"; }; f`;

/**
 * How git gets a credential: never in an argument, a URL or a file of the repository. A password is for its origin only, so that
 * a redirect to another host does not take it along. An SSH key stands in a file of its own, readable by this user, until
 * `dispose`: ssh refuses the wider permissions that mounted secrets have. `folder` is where, and exists.
 */
export async function gitEnvironment(
  credential: GitCredential | undefined,
  { folder = tmpdir() }: { readonly folder?: string | undefined } = {},
): Promise<GitEnvironment> {
  if (credential === undefined)
    return { env: { GIT_SSH_COMMAND: refusingSsh, GIT_SSH_VARIANT: "ssh" }, dispose: () => Promise.resolve() };
  if (credential.kind === "ssh") return sshEnvironment(credential, folder);
  const { origin, username, password } = credential;
  const secret = password.reveal();
  // Git takes its answer line by line, and a line more would be another field of it.
  if (/[\r\n\0]/.test(`${username}${secret}`)) {
    throw new SluiceError(
      "upstream_refused",
      `the credential for ${origin} has more than one line; it can be one only`,
    );
  }
  const config = [
    [`credential.${origin}.helper`, ""],
    [`credential.${origin}.helper`, helper],
  ];
  return {
    env: { ...configEnvironment(config), SLUICE_GIT_USERNAME: username, SLUICE_GIT_PASSWORD: secret },
    dispose: () => Promise.resolve(),
  };
}

/** Settings as git reads them from its environment. */
function configEnvironment(config: readonly (readonly string[])[]): Record<string, string> {
  return Object.fromEntries([
    ["GIT_CONFIG_COUNT", String(config.length)],
    ...config.flatMap(([key = "", value = ""], index) => [
      [`GIT_CONFIG_KEY_${index}`, key],
      [`GIT_CONFIG_VALUE_${index}`, value],
    ]),
  ]);
}

async function sshEnvironment(
  { key, knownHostsFile }: Extract<GitCredential, { kind: "ssh" }>,
  parent: string,
): Promise<GitEnvironment> {
  const cannot = "the file for an SSH key cannot be written";
  const folder = await onDisk(cannot, () => mkdtemp(join(parent, `${keyFolderPrefix}${process.pid}-`)));
  const keyFile = join(folder, "key");
  const dispose = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    // OpenSSH wants line feeds, one at the end too.
    const lines = `${key.reveal().replaceAll("\r\n", "\n")}\n`;
    await onDisk(cannot, () => writeFile(keyFile, lines, { mode: 0o600, flag: "wx" }));
  } catch (error) {
    await dispose();
    throw error;
  }
  return { env: { GIT_SSH_COMMAND: sshCommand(keyFile, knownHostsFile), GIT_SSH_VARIANT: "ssh" }, dispose };
}

/** What a run of Sluice that was killed can leave behind carries its process id. */
export const keyFolderPrefix = "sluice-key-";

/** Nothing of the user's own ssh: no configuration, agent, keys, known hosts, prompts or forwarding. */
const strict = [
  ["BatchMode", "yes"],
  ["StrictHostKeyChecking", "yes"],
  ["GlobalKnownHostsFile", "/dev/null"],
  ["UpdateHostKeys", "no"],
  ["IdentityAgent", "none"],
  ["IdentitiesOnly", "yes"],
  ["PreferredAuthentications", "publickey"],
  ["ClearAllForwardings", "yes"],
  ["ControlPath", "none"],
  ["ConnectTimeout", "20"],
  ["ServerAliveInterval", "15"],
  ["ServerAliveCountMax", "4"],
] as const;

function sshCommand(keyFile: string, knownHostsFile: string): string {
  const options = strict.map(([name, value]) => `-o ${name}=${value}`).join(" ");
  const known = shellQuote(`UserKnownHostsFile=${sshQuote(knownHostsFile)}`);
  return `ssh -F /dev/null -i ${shellQuote(keyFile.replaceAll("%", "%%"))} -o ${known} ${options}`;
}

/** Runs in the place of ssh where there is no key: nobody is talked to. In ssh's words, which the failures are told by. */
const refusingSsh = `f() { echo 'Permission denied (publickey): there is no SSH key for this host' >&2; exit 255; }; f`;

/** For ssh's own parser, which splits at blanks and knows `%h`. */
function sshQuote(text: string): string {
  return `"${text.replaceAll("%", "%%")}"`;
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
