import { resolve } from "node:path";
import type { SecretSource } from "../sources/git/credentials/credential.ts";
import type { Report } from "./checks.ts";
import { readVariable } from "./environment.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import type { CredentialSettings } from "./private-schema.ts";
import { credentialSection } from "./settings.ts";

type Field = keyof CredentialSettings;

/** Besides `kind`, `file`, `env` and `command`. */
const fieldsOfKind: Readonly<Record<CredentialSettings["kind"], readonly Field[]>> = {
  token: ["username"],
  password: ["username"],
  ssh: ["knownHosts"],
  github_app: ["appId", "installationId", "apiUrl"],
};

const wanted: Readonly<Partial<Record<CredentialSettings["kind"], Readonly<Partial<Record<Field, string>>>>>> = {
  password: { username: "is missing; write the user name that the password is for" },
  ssh: { knownHosts: "is missing; name a file with the host's keys, as `ssh-keyscan git.example.com` prints them" },
  github_app: {
    appId: "is missing; it stands on the settings page of the App",
    installationId: "is missing; it is the last part of the URL of the installation's settings",
  },
};

interface CredentialSurroundings extends Surroundings {
  /** The address of the repositories. */
  readonly template: string | undefined;
}

/** What the schema cannot tell: which settings belong to a kind, and whether what they name is there. */
export function checkCredential(credential: CredentialSettings, around: CredentialSurroundings, report: Report): void {
  const { kind, knownHosts, apiUrl } = credential;
  const say = (field: Field, message: string): void => report(pathOf(field), message);
  for (const field of Object.values(fieldsOfKind).flat()) {
    if (credential[field] !== undefined && !fieldsOfKind[kind].includes(field)) {
      say(field, `is nothing that the kind ${kind} has; take it out, or write another kind`);
    }
  }
  for (const [field, message] of Object.entries(wanted[kind] ?? {})) {
    if (isField(field) && credential[field] === undefined) say(field, message);
  }
  checkSecret(credential, around, report);
  if (kind === "ssh" && knownHosts !== undefined) {
    readNamedFile(knownHosts, around, (problem) => report(pathOf("knownHosts"), problem, { value: knownHosts }));
  }
  if (apiUrl !== undefined && !/^https?:\/\/[^/@?#\s]+(\/[^@?#\s]*)?$/.test(apiUrl)) {
    say("apiUrl", "is not the URL of an API; write it like https://github.example.com/api/v3");
  }
  const scheme = around.template?.replace(/:.*$/s, "");
  if (scheme === undefined) return;
  if (kind === "ssh" && !scheme.includes("ssh"))
    say("kind", `is ssh, but url begins with ${scheme}:; write ssh://git@…`);
  if (kind !== "ssh" && scheme.includes("ssh")) say("kind", "is nothing that SSH knows; write ssh, or url with https:");
}

/** Where the secret is; undefined when nothing says so. */
export function secretOf({ file, env, command }: CredentialSettings, folder: string): SecretSource | undefined {
  if (file !== undefined) return { kind: "file", file: resolve(folder, file) };
  if (env !== undefined) return { kind: "env", name: env };
  return command === undefined ? undefined : { kind: "command", command };
}

function checkSecret(credential: CredentialSettings, around: CredentialSurroundings, report: Report): void {
  const [first, second] = (["file", "env", "command"] as const).filter((field) => credential[field] !== undefined);
  const { file, env } = credential;
  if (first === undefined) {
    report(
      "private.credential",
      'has neither file, env nor command; write where the secret is, such as file = "token"',
    );
  } else if (second !== undefined) {
    report(pathOf(second), `stands beside ${first}; keep one of them`);
  } else if (file !== undefined) {
    const text = readNamedFile(file, around, (problem) => report(pathOf("file"), problem));
    if (text?.trim() === "") report(pathOf("file"), "is empty");
  } else if (env !== undefined && readVariable(around.env, env) === undefined) {
    report(pathOf("env"), "names an environment variable that is not set");
  }
}

function pathOf(field: Field): string {
  const key = credentialSection.settings.find((setting) => setting.field === field)?.key;
  return `${credentialSection.name}.${key ?? field}`;
}

function isField(text: string): text is Field {
  return credentialSection.settings.some(({ field }) => field === text);
}
