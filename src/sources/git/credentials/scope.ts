import { matchPrefixPatterns } from "../../../protocol/module/index.ts";
import type { CredentialRule } from "./credential.ts";

/** Tells whether a credential may be shown to a URL. */
export function isInScope({ patterns, remote, credential }: CredentialRule, url: URL): boolean {
  const protocol = protocolOf(url);
  if ((credential.kind === "ssh") !== (protocol === "ssh:")) return false;
  if (remote !== undefined && protocol === protocolOf(remote) && isBelow(url, remote)) return true;
  // Whoever is on the way reads what goes over plain http, so only a rule that names such a URL sends something there.
  return protocol !== "http:" && matchPrefixPatterns(patterns, `${url.host.toLowerCase()}${pathOf(url)}`);
}

function isBelow(url: URL, { host, pathname }: URL): boolean {
  const folder = pathname.replace(/\/+$/, "");
  const path = pathOf(url);
  return (
    url.host.toLowerCase() === host.toLowerCase() &&
    (path === folder.replace(/\.git$/, "") || path.startsWith(`${folder}/`))
  );
}

/** A path that is not plain is in no scope: what a server makes of `%2e%2e` is not known here. */
function pathOf({ pathname }: URL): string {
  const path = decodePath(pathname)
    .replace(/\/+$/, "")
    .replace(/\.git$/, "");
  return /(^|\/)\.\.?(\/|$)|\0/.test(path) ? "/\0" : path;
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "/\0";
  }
}

function protocolOf({ protocol }: URL): string {
  return protocol === "git+ssh:" || protocol === "ssh+git:" ? "ssh:" : protocol;
}
