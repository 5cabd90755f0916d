import { Secret } from "../core/secret.ts";
import type { Report } from "./checks.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import type { Settings } from "./schema.ts";

/** A database that several Sluices share. */
export interface SharedDatabase {
  /** Printable: without user, password and parameters. */
  readonly name: string;
  readonly url: Secret;
  readonly password: Secret | undefined;
  /** The content of `ca_file`: certificates in PEM. */
  readonly ca: string | undefined;
  readonly timeoutMs: number;
  readonly connections: number;
}

interface UrlParts {
  readonly scheme: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly hosts: string;
  readonly database: string;
  readonly parameters: URLSearchParams;
}

const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
/** What libpq has in a URL and Sluice has not. */
const elsewhere: Readonly<Record<string, string>> = {
  sslrootcert: "write ca_file instead",
  password: "write password_file instead",
  passfile: "write password_file instead",
  sslcert: "take it out, Sluice shows no certificate of its own",
  sslkey: "take it out, Sluice shows no certificate of its own",
};
const example = "write it like postgres://sluice@db.example.com/sluice";

/** Checks what the schema cannot tell, and reads what is only named. Messages never quote the URL, which may have a password. */
export function readDatabase(
  settings: Settings["database"],
  around: Surroundings,
  report: Report,
): SharedDatabase | undefined {
  const { urlFile, passwordFile, caFile, timeoutMs, connections } = settings;
  if (settings.url !== "" && urlFile !== "") report("database.url_file", "stands beside url; keep one of them");
  const path = settings.url === "" ? "database.url_file" : "database.url";
  const url = settings.url === "" ? readText("database.url_file", urlFile, around, report) : settings.url;
  const password = readText("database.password_file", passwordFile, around, report);
  const ca = readText("database.ca_file", caFile, around, report);
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    report("database.ca_file", "holds no certificate in PEM form", { value: caFile });
  }
  if (url === undefined) return undefined;
  const parts = tryParseUrl(url);
  if (parts === undefined) {
    report(
      path,
      `is not the URL of a PostgreSQL database; ${example}, in a password / as %2F, @ as %40, # as %23, ? as %3F and % as %25`,
    );
    return undefined;
  }
  checkParameters(path, parts.parameters, report);
  if (parts.password !== undefined && password !== undefined) {
    report("database.password_file", "stands beside a password in the URL; keep one of them");
  }
  return {
    name: `postgres://${parts.hosts}/${parts.database}`,
    url: new Secret(url),
    password: password === undefined ? undefined : new Secret(password),
    ca,
    timeoutMs,
    connections,
  };
}

/** The URL as it may be printed. */
export function printableDatabaseUrl(url: string): string {
  if (url === "") return "";
  const parts = tryParseUrl(url);
  if (parts === undefined) return "[hidden]";
  const user = parts.user === "" ? "" : `${parts.user}@`;
  const mode = parts.parameters.get("sslmode");
  return `${parts.scheme}://${user}${parts.hosts}/${parts.database}${mode === null ? "" : `?sslmode=${mode}`}`;
}

function checkParameters(path: string, parameters: URLSearchParams, report: Report): void {
  const mode = parameters.get("sslmode");
  if (mode !== null && !sslModes.includes(mode)) {
    report(path, `has an sslmode that is none; write one of ${sslModes.join(", ")}`);
  }
  for (const [name, instead] of Object.entries(elsewhere)) {
    if (parameters.has(name)) report(path, `has the parameter ${name}; ${instead}`);
  }
}

function tryParseUrl(url: string): UrlParts | undefined {
  const match =
    /^(postgres(?:ql)?):\/\/(?:([^:@/?#\s]*)(?::([^@/?#\s]*))?@)?([^@/?#\s]+)\/([^/?#\s]+)(?:\?([^#\s]*))?$/.exec(url);
  if (match === null) return undefined;
  const [, scheme = "", user = "", password, hosts = "", database = "", query = ""] = match;
  if (![user, password ?? "", database].every(isEncoded)) return undefined;
  if (!hosts.split(",").every((host) => /^(\[[\da-fA-F:.]+\]|[\w.%-]+)(:\d{1,5})?$/.test(host))) return undefined;
  return { scheme, user, password, hosts, database, parameters: new URLSearchParams(query) };
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function readText(path: string, file: string, around: Surroundings, report: Report): string | undefined {
  if (file === "") return undefined;
  const text = readNamedFile(file, around, (problem) => report(path, problem, { value: file }));
  const trimmed = text?.replace(/[\r\n]+$/, "");
  if (trimmed === "") report(path, "is empty", { value: file });
  return trimmed === "" ? undefined : trimmed;
}
