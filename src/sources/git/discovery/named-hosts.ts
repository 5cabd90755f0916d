import { ProtocolError } from "../../../protocol/error.ts";
import { pathMatch } from "../../../protocol/module/index.ts";

export interface NamedHostsOptions {
  /** Comma-separated patterns of module paths, such as GOPRIVATE's: their first elements are meant. */
  readonly patterns: readonly string[];
  /** Host names, or globs of them. */
  readonly hosts: readonly string[];
}

/**
 * The hosts that the configuration names, which may be within this network (DESIGN §3.5). A pattern for all hosts, such as `*`, names
 * none.
 */
export function createNamedHosts({ patterns, hosts }: NamedHostsOptions): (hostname: string) => boolean {
  const first = patterns.flatMap((list) => list.split(",")).map((pattern) => pattern.split("/", 1)[0] ?? "");
  const globs = [...first, ...hosts].map((glob) => glob.toLowerCase()).filter((glob) => /[^*?.]/.test(glob));
  const names = new Set(globs);
  return (hostname) => {
    const name = hostname.replaceAll(/^\[|\]$|\.$/g, "").toLowerCase();
    return names.has(name) || globs.some((glob) => matches(glob, name));
  };
}

function matches(glob: string, name: string): boolean {
  try {
    return pathMatch(glob, name);
  } catch (error) {
    // As in GOPRIVATE, a malformed pattern matches nothing.
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
