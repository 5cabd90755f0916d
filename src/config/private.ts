import { resolve } from "node:path";
import type { z } from "zod";
import { isSluiceError } from "../core/errors.ts";
import type { CredentialRule, CredentialSpec, SecretSource } from "../sources/git/credentials/credential.ts";
import { createOverrides, type RepoOverride } from "../sources/git/discovery/overrides.ts";
import { checkPatterns, type Report } from "./checks.ts";
import { fixedPart, hostOf, templateProblem } from "./git-overrides.ts";
import { checkCredential, secretOf } from "./credential.ts";
import { isTable, type Table } from "./file.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import { type CredentialSettings, type PrivateRule, privateSchema } from "./private-schema.ts";
import { credentialSection, privateSection, type Section } from "./settings.ts";

// For whoever composes the git source, `config.privateModules` is all there is to know of [[private]]:
//   patterns     what never goes to an upstream, GONOPROXY/GOPRIVATE included: `createPrivateRules(patterns)` of sources/private.ts,
//                `privatePatterns` of createDiscovery
//   hosts        for `createNamedHosts({ patterns: [patterns], hosts })`
//   overrides    for createDiscovery
//   credentials  for `createCredentials({ rules, env: process.env, http, clock })`; then `gitAccess(credentials, keyFolder)` is the
//                `access` of createMirrors (keyFolder exists with mode 0700, `removeLeftKeys(keyFolder)` at the start), and
//                `httpCredentials(credentials)` the `credentials` of discovery and createModSources. When a host refuses a
//                credential, call `credentials.refused(url)`; when it refuses with `Host key verification failed`, `explainHostKey`
//                of credentials/host-key.ts has the sentence with the fingerprint.
//   authorities  for `withExtraCa(trust, pem, file)`, one after another; git gets the same as one PEM file (`caFile` of
//                createGitCommand)
// and `config.git` has enabled, binary, concurrency, fetchTimeoutMs, refsTtlMs, discoveryTtlMs, discoveryTimeoutMs, insecure (GOINSECURE)
// and vcs (GOVCS).

/** What the configuration says of private modules. */
export interface PrivateModules {
  /** Comma-separated, in the grammar of GOPRIVATE. */
  readonly patterns: string;
  /** Names of the hosts that have them, without ports. */
  readonly hosts: readonly string[];
  /** Where they are, for those that are not found as `go` does it. */
  readonly overrides: readonly RepoOverride[];
  readonly credentials: readonly CredentialRule[];
  /** Of the `ca_file`s. */
  readonly authorities: readonly { readonly file: string; readonly pem: string }[];
}

interface PrivateSurroundings extends Surroundings {
  /** GONOPROXY. */
  readonly noProxy: string;
}

const defaultApiUrl = "https://api.github.com";

/** Hosts whose repositories have two elements behind the host. */
const flatHosts = new Set(["github.com", "bitbucket.org"]);

/** Checks the rules, and looks whether the files and variables they name are there. Messages never quote a secret, nor what may be one. */
export function readPrivateRules(given: unknown, around: PrivateSurroundings, report: Report): PrivateModules {
  const parsed = privateSchema.array().safeParse(given === undefined ? [] : toFields(given), {
    error: () => "is not a list of tables; write [[private]]",
  });
  const rules = parsed.success ? parsed.data : [];
  if (!parsed.success) for (const issue of parsed.error.issues) reportIssue(issue, given, report);
  const read = rules.map((rule, index) =>
    readRule(rule, around, (path, message, at = {}) => report(path, message, { ...at, index })),
  );
  return {
    patterns: [around.noProxy, ...read.map(({ patterns }) => patterns)].filter((list) => list !== "").join(","),
    hosts: read.flatMap(({ hosts }) => hosts),
    overrides: read.flatMap(({ overrides }) => overrides),
    credentials: read.flatMap(({ credentials }) => credentials),
    authorities: read.flatMap(({ authorities }) => authorities),
  };
}

function readRule(rule: PrivateRule, around: PrivateSurroundings, report: Report): PrivateModules {
  const { pattern, credential } = rule;
  const list = pattern.split(",").filter((one) => one !== "");
  const patterns = list.map((one) => one.replace(/\/\*\*$/, "")).join(",");
  checkPatterns("private.pattern", patterns, report);
  const template = templateOf(rule, report);
  const overrides =
    template === undefined ? [] : list.map((one) => ({ pattern: overridePattern(one, template), url: template }));
  for (const override of overrides) checkOverride(override, report);
  const remote = template === undefined ? undefined : fixedPart(template);
  if (credential !== undefined) {
    checkCredential(credential, { ...around, template }, report);
    checkReach(rule, patterns, { remote, report });
  }
  const spec = credential === undefined ? undefined : specOf(credential, around.folder);
  const name = `[[private]] ${pattern}`;
  const safe = patterns.split(",").filter(isOfOneHost).join(",");
  const ca = readNamedFile(rule.caFile, around, (problem) =>
    report("private.ca_file", problem, { value: rule.caFile }),
  );
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    report("private.ca_file", "holds no certificate in PEM form", { value: rule.caFile });
  }
  return {
    patterns,
    hosts: remote === undefined ? [] : [hostOf(remote)],
    overrides,
    credentials: spec === undefined ? [] : [{ name, patterns: safe, remote, credential: spec }],
    authorities: ca === undefined ? [] : [{ file: resolve(around.folder, rule.caFile ?? ""), pem: ca }],
  };
}

/** The address of the repositories; undefined where they are found as `go` finds them. */
function templateOf({ url, host, credential }: PrivateRule, report: Report): string | undefined {
  const isSsh = credential?.kind === "ssh";
  if (url !== undefined && host !== undefined) report("private.host", "stands beside url; keep one of them");
  if (url !== undefined) {
    const problem = templateProblem(url, "write credential = { … } instead");
    if (problem !== undefined) report("private.url", problem);
    return problem === undefined ? url : undefined;
  }
  if (host !== undefined && !/^[\w.-]+(:\d{1,5})?$/.test(host)) {
    report("private.host", "is not the name of a host; write it like git.example.com, with a port where it needs one", {
      value: host,
    });
    return undefined;
  }
  if (host === undefined && !isSsh) return undefined;
  return isSsh ? `ssh://git@${host ?? "{host}"}/{path}.git` : `https://${host}/{path}.git`;
}

/** A pattern that only names a host or a group means everything below it. */
function overridePattern(pattern: string, template: string): string {
  if (pattern.endsWith("/**") || !/\{(path|rest)\}/.test(template)) return pattern;
  const elements = pattern.replace(/\/$/, "").split("/");
  if (flatHosts.has(elements[0] ?? "")) return [...elements, "*", "*"].slice(0, Math.max(3, elements.length)).join("/");
  const isGlob = elements.length > 1 && /[*?[]/.test(elements.at(-1) ?? "");
  return isGlob ? elements.join("/") : `${elements.join("/")}/**`;
}

function checkOverride(override: RepoOverride, report: Report): void {
  try {
    createOverrides([override]);
  } catch (error) {
    if (!isSluiceError(error, "config_invalid")) throw error;
    report("private.url", `cannot be used: ${error.message}`);
  }
}

/** Whoever can name a host that matches would get the credential. */
function checkReach(
  { pattern }: PrivateRule,
  patterns: string,
  { remote, report }: { readonly remote: URL | undefined; readonly report: Report },
): void {
  const wide = patterns.split(",").find((one) => !isOfOneHost(one));
  if (remote !== undefined || wide === undefined || wide === "") return;
  report(
    "private.pattern",
    `matches hosts of others with ${JSON.stringify(wide)}, which would be sent the credential; name the host, such as git.example.com/*, or write host or url`,
    { value: pattern },
  );
}

function isOfOneHost(pattern: string): boolean {
  return /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+(\/|$)/i.test(pattern);
}

function specOf(credential: CredentialSettings, folder: string): CredentialSpec | undefined {
  const source = secretOf(credential, folder);
  return source === undefined ? undefined : specWith(credential, source, folder);
}

function specWith(credential: CredentialSettings, source: SecretSource, folder: string): CredentialSpec {
  const { kind, username, knownHosts, appId, installationId, apiUrl = defaultApiUrl } = credential;
  if (kind === "ssh") return { kind: "ssh", key: source, knownHostsFile: resolve(folder, knownHosts ?? "") };
  if (kind !== "github_app") {
    return { kind: "basic", username: username ?? "x-access-token", password: source };
  }
  return {
    kind: "github-app",
    key: source,
    appId: String(appId),
    installationId: String(installationId),
    apiUrl: apiUrl.replace(/\/+$/, ""),
  };
}

/** From the names of the file to those of the schema. */
function toFields(tables: unknown): unknown {
  if (!Array.isArray(tables)) return tables;
  return tables.map((table: unknown) => {
    if (!isTable(table)) return table;
    const credential = table["credential"];
    const rule = fieldsOf(privateSection, table);
    return isTable(credential) ? { ...rule, credential: fieldsOf(credentialSection, credential) } : rule;
  });
}

function fieldsOf({ settings }: Section, table: Table): Record<string, unknown> {
  return Object.fromEntries(settings.map(({ key, field }) => [field, table[key]]));
}

function reportIssue({ path, message }: z.core.$ZodIssue, given: unknown, report: Report): void {
  const [index, field, inner] = path;
  const at = typeof index === "number" ? { index } : {};
  if (field === "credential" && inner !== undefined) {
    const key = credentialSection.settings.find((setting) => setting.field === inner)?.key ?? "kind";
    report(`private.credential.${key}`, message, at);
    return;
  }
  const key = privateSection.settings.find((setting) => setting.field === field)?.key;
  if (key === undefined) {
    report("private.pattern", "stands in no list of tables; write [[private]] before it", at);
    return;
  }
  const table: unknown = Array.isArray(given) && typeof index === "number" ? given[index] : undefined;
  const value = isTable(table) ? table[key] : undefined;
  report(`private.${key}`, message, value === undefined ? at : { ...at, value });
}
