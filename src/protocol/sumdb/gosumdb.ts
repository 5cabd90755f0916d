import { ProtocolError } from "../error.ts";
import { fields, quoteShort } from "../go-text.ts";
import { parseVerifierKey, type NoteVerifier } from "./note-key.ts";

/** What GOSUMDB says. */
export type GosumdbSetting =
  | { readonly kind: "off" }
  | {
      readonly kind: "database";
      /** The name in the key: `host` or `host/path`. */
      readonly name: string;
      readonly verifier: NoteVerifier;
      readonly verifierKey: string;
      /** Where to ask it, past all proxies, without slash at the end. Undefined: proxies first, then `https://<name>`. */
      readonly url: string | undefined;
    };

const knownKeys: ReadonlyMap<string, string> = new Map([
  ["sum.golang.org", "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"],
]);
/** Names that stand for another database at another address. */
const aliases: ReadonlyMap<string, string> = new Map([
  ["sum.golang.google.cn", "sum.golang.org https://sum.golang.google.cn"],
]);
/** Go allows a little more. This name becomes a path in URLs and on disk. */
const nameShape = /^[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]+)?(?:\/[A-Za-z0-9._~-]+)*$/;

/**
 * Reads GOSUMDB as go does: `off`, or a key or known name, and possibly a URL (SPEC §6.6).
 *
 * @throws ProtocolError `malformed_gosumdb`, in go's words where it has some.
 */
export function parseGosumdb(text: string): GosumdbSetting {
  const value = aliases.get(text) ?? text;
  if (value === "off") return { kind: "off" };
  const [key, url, ...rest] = fields(value);
  if (key === undefined) throw malformed("missing GOSUMDB");
  if (rest.length > 0) throw malformed("invalid GOSUMDB: too many fields");
  const verifierKey = knownKeys.get(key) ?? key;
  const verifier = parseKey(verifierKey);
  checkName(verifier.name);
  return {
    kind: "database",
    name: verifier.name,
    verifier,
    verifierKey,
    url: url === undefined ? undefined : parseUrl(url),
  };
}

function parseKey(text: string): NoteVerifier {
  try {
    return parseVerifierKey(text);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new ProtocolError("malformed_gosumdb", `invalid GOSUMDB: ${error.message}`, { cause: error });
  }
}

function checkName(name: string): void {
  const hasDots = name.split("/").some((element) => element === "." || element === "..");
  if (nameShape.test(name) && !hasDots) return;
  throw malformed(`invalid sumdb name (must be host[/path]): ${quoteShort(name)}`);
}

function parseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw malformed(`invalid GOSUMDB URL: ${quoteShort(text)}: expected http:// or https:// with a host, maybe a path`);
  }
  return url.href.replace(/\/+$/, "");
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("malformed_gosumdb", message);
}
