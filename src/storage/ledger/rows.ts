import { parseH1 } from "../../protocol/zip/index.ts";
import type { FileFacts, Freshness, UnverifiedFile } from "../../core/ports.ts";

/** As a database answers it, by column. PostgreSQL's large integers are texts. */
type Row = Readonly<Record<string, unknown>>;

export function toFacts(row: Row | undefined): FileFacts | undefined {
  if (row === undefined) return undefined;
  const h1 = row["h1"];
  return {
    key: String(row["key"]),
    size: Number(row["size"]),
    sha256: String(row["sha256"]),
    h1: typeof h1 === "string" ? parseH1(h1) : undefined,
    source: String(row["source"]),
    firstSeenAt: Number(row["first_seen_at"]),
  };
}

export function toFreshness(row: Row | undefined): Freshness | undefined {
  if (row === undefined) return undefined;
  const previous = row["previous_sha256"];
  return {
    key: String(row["key"]),
    sha256: String(row["sha256"]),
    source: String(row["source"]),
    checkedAt: Number(row["checked_at"]),
    previousSha256: typeof previous === "string" ? previous : undefined,
  };
}

export function toUnverified(row: Row): UnverifiedFile {
  return {
    key: String(row["key"]),
    h1: parseH1(String(row["h1"])),
    reason: String(row["reason"]),
    since: Number(row["since"]),
  };
}
