import { createHash } from "node:crypto";
import type { GitRefs } from "./resolve/repo.ts";

/** Branches and tags of a host at one moment. */
export interface RefSnapshot extends GitRefs {
  /** Of all names and hashes: equal when nothing changed. */
  readonly sum: string;
  /** The same of the tags alone. */
  readonly tagsSum: string;
  /** Milliseconds since the epoch, before the host was asked. */
  readonly askedAt: number;
}

/** Reads what `git ls-remote` prints. Of an annotated tag the commit counts, which stands behind `^{}`. */
export function parseRemoteRefs(output: string, askedAt: number): RefSnapshot {
  const found = new Map<string, string>();
  for (const line of output.split("\n")) {
    const tab = line.indexOf("\t");
    if (tab < 0) continue;
    const name = line.slice(tab + 1);
    const hash = line.slice(0, tab);
    if (!/^[0-9a-f]{40,64}$/.test(hash) || isOddName(name)) continue;
    if (name === "HEAD" || name.startsWith("refs/heads/") || name.startsWith("refs/tags/")) found.set(name, hash);
  }
  for (const [name, hash] of found) {
    if (!name.endsWith("^{}")) continue;
    found.set(name.slice(0, -"^{}".length), hash);
    found.delete(name);
  }
  const byName = new Map([...found].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  const tags = Map.groupBy(
    byName.entries().filter(([name]) => name.startsWith("refs/tags/")),
    ([, hash]) => hash,
  );
  const sum = createHash("sha256");
  const tagsSum = createHash("sha256");
  for (const [name, hash] of byName) {
    sum.update(`${name} ${hash}\n`);
    if (name.startsWith("refs/tags/")) tagsSum.update(`${name} ${hash}\n`);
  }
  return {
    byName,
    askedAt,
    sum: sum.digest("hex"),
    tagsSum: tagsSum.digest("hex"),
    tagsAt: (hash) => (tags.get(hash) ?? []).map(([name]) => name.slice("refs/tags/".length)),
  };
}

/** No git would make such a ref; in a refspec these would mean something. */
function isOddName(name: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return /[\u0000-\u0020\u007f*:?[\\~]|\.\.|@\{|\^(?!\{\}$)/.test(name);
}
