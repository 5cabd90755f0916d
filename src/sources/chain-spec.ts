import { fileURLToPath } from "node:url";
import { SluiceError } from "../core/errors.ts";
import { Credentials } from "./credentials.ts";

/** One word of a GOPROXY list. */
export type ChainEntry = HttpEntry | FileEntry | EndEntry;

/** Another GOPROXY over HTTP. */
export interface HttpEntry {
  readonly kind: "http";
  /** Printable: origin and base path, without trailing slash, user name, password and query. */
  readonly name: string;
  /** Without user name and password; the query, which may be a secret, is there. */
  readonly url: URL;
  /** From the entry's user info. */
  readonly credentials: Credentials | undefined;
  /** A `|` stands behind it: the next entry is asked after any failure, not only after "does not exist". */
  readonly fallBackOnError: boolean;
}

/** A folder that is laid out as a GOPROXY. */
export interface FileEntry {
  readonly kind: "file";
  readonly name: string;
  /** Absolute. */
  readonly folder: string;
  readonly fallBackOnError: boolean;
}

/** The end of a list: nothing behind it is ever asked. */
export interface EndEntry {
  readonly kind: "end";
  readonly name: "direct" | "off";
}

/**
 * Reads a chain in the grammar of GOPROXY, as go reads it (SPEC §1.7): `,` or `|` behind an entry, blanks around entries and
 * empty entries skipped, `https://` put before what has none, nothing read behind `off` and `direct`.
 * One difference: user info is taken as Basic credentials over plain http too, where go refuses to send it.
 *
 * @throws SluiceError `config_invalid` that quotes the entry without its secrets and says what to write.
 */
export function parseChain(text: string): readonly ChainEntry[] {
  const entries: ChainEntry[] = [];
  for (const [, word = "", separator = ""] of text.matchAll(/([^,|]*)([,|]|$)/g)) {
    const trimmed = word.trim();
    if (trimmed === "") continue;
    const entry = parseEntry(trimmed, separator === "|");
    entries.push(entry);
    if (entry.kind === "end") return entries;
  }
  if (entries.length > 0) return entries;
  throw invalid(
    "the chain of upstreams has no entries; write the URL of an upstream, or `off` to serve only what is stored",
  );
}

/** The chain as it may be printed. */
export function formatChain(entries: readonly ChainEntry[]): string {
  return entries
    .map((entry, index) => {
      if (index === entries.length - 1) return entry.name;
      return entry.name + (entry.kind !== "end" && entry.fallBackOnError ? "|" : ",");
    })
    .join("");
}

function parseEntry(word: string, fallBackOnError: boolean): ChainEntry {
  if (word === "direct" || word === "off") return { kind: "end", name: word };
  refuseUnprintable(word);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\//.exec(word)?.[1]?.toLowerCase();
  // Single words are reserved by go for what it has built in; anything else without a scheme is a host.
  if (scheme === undefined && !word.startsWith("/") && !word.includes(":/") && /[.:/]/.test(word)) {
    return parseHttpEntry(`https://${word}`, word, fallBackOnError);
  }
  if (scheme === "http" || scheme === "https") return parseHttpEntry(word, word, fallBackOnError);
  if (scheme === "file") return parseFileEntry(word, fallBackOnError);
  throw invalid(`${quote(word)} in the chain of upstreams ${explainWord(word, scheme)}`);
}

function parseHttpEntry(address: string, word: string, fallBackOnError: boolean): HttpEntry {
  // WHATWG parsing would quietly repair `http:/host`, where go finds no host.
  if (!/^https?:\/\/[^/]/i.test(address))
    throw invalid(`${quote(word)} in the chain of upstreams has no host; write https://host`);
  const url = URL.parse(address);
  if (url === null)
    throw invalid(`${quote(word)} in the chain of upstreams is not a URL; write https://host or https://host/path`);
  if (`${url.pathname}${url.search}${url.hash}`.includes("@")) {
    throw invalid(
      `${quote(word)} in the chain of upstreams has a @ behind the host; write / ? # and @ in a user name or password as %2F %3F %23 and %40`,
    );
  }
  const credentials = credentialsOf(url, word);
  url.username = "";
  url.password = "";
  url.hash = "";
  return { kind: "http", name: url.origin + url.pathname.replace(/\/$/, ""), url, credentials, fallBackOnError };
}

function credentialsOf(url: URL, word: string): Credentials | undefined {
  if (url.username === "" && url.password === "") return undefined;
  try {
    return new Credentials(decodeURIComponent(url.username), decodeURIComponent(url.password));
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw invalid(
      `${quote(word)} in the chain of upstreams has a user name or password with a % that is no escape; write it as %25`,
    );
  }
}

function parseFileEntry(word: string, fallBackOnError: boolean): FileEntry {
  // As go: nothing but a path, so no host, query or fragment.
  const path = /^file:(?:\/\/)?(\/(?!\/)[^?#]*)$/i.exec(word)?.[1];
  if (path === undefined) {
    throw invalid(`${quote(word)} in the chain of upstreams is not the URL of a folder; write file:///path/to/folder`);
  }
  try {
    const folder = fileURLToPath(`file://${path}`);
    return { kind: "file", name: `file://${path.replace(/(?<=.)\/+$/, "")}`, folder, fallBackOnError };
  } catch {
    throw invalid(`${quote(word)} in the chain of upstreams has a % that is no escape of a file name; write it as %25`);
  }
}

function explainWord(word: string, scheme: string | undefined): string {
  if (scheme !== undefined) {
    const rest = word.slice(word.indexOf(":")).replace(/^:\/+/, "");
    const instead = rest === "" ? "https://host" : `https://${rest.replace(/^.*@/s, "")}`;
    return `begins with ${scheme}:, which is none of https:, http: and file:; write ${instead}`;
  }
  if (word.startsWith("/")) return `is a path; write file://${word}`;
  const lower = word.toLowerCase();
  if (lower === "direct" || lower === "off") return `is not known; write ${lower} in lower case`;
  if (["none", "disabled", "no", "false"].includes(lower)) return "is not known; write off";
  return "is neither a URL nor `direct` or `off`; write https:// before a host name";
}

/** URL parsers drop tabs and line ends and accept blanks in places, where go refuses them all. */
function refuseUnprintable(word: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (!/[\s\u0000-\u001f\u007f]/.test(word)) return;
  throw invalid(
    `${quote(word)} in the chain of upstreams has a blank or control character in it; separate entries by a comma`,
  );
}

function quote(word: string): string {
  return JSON.stringify(hideUserInfo(word));
}

/** Everything up to the last `@`, as an unescaped password may look like host, port and path. */
function hideUserInfo(word: string): string {
  return word.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/+)?.*@/s, "$1***@").replace(/\?.*$/s, "?***");
}

function invalid(message: string): SluiceError {
  return new SluiceError("config_invalid", message);
}
