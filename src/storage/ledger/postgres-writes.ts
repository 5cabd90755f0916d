import type { H1 } from "../../protocol/brand.ts";
import type { BlobKey, FileFacts, Freshness, UnverifiedFile } from "../../core/ports.ts";
import type { Statements } from "../postgres/pool.ts";
import { toFacts } from "./rows.ts";

/**
 * A change of the shared ledger. Each may be done late and more than once: it says what it is about well enough that it changes
 * nothing of what others have written since.
 */
export type LedgerWrite =
  | { readonly kind: "addFacts"; readonly facts: FileFacts }
  | { readonly kind: "removeFacts"; readonly key: BlobKey; readonly sha256?: string | undefined }
  | { readonly kind: "setFreshness"; readonly freshness: Omit<Freshness, "previousSha256" | "isElsewhere"> }
  /** Only what was confirmed until then, in milliseconds since the epoch. */
  | { readonly kind: "removeFreshness"; readonly key: BlobKey; readonly until?: number | undefined }
  | { readonly kind: "addUnverified"; readonly file: UnverifiedFile }
  | { readonly kind: "removeUnverified"; readonly key: BlobKey; readonly h1?: H1 | undefined };

export interface WriteOutcome {
  /** Of `addFacts`: the facts that stand. */
  readonly standing?: FileFacts | undefined;
  readonly isChanged: boolean;
}

/** Within a transaction. Sends all statements at once, so that many writes share a round trip. */
export async function applyWrite(sql: Statements, write: LedgerWrite): Promise<WriteOutcome> {
  if (write.kind === "addFacts") return addFacts(sql, write.facts);
  if (write.kind === "removeFacts") return removeFacts(sql, write);
  if (write.kind === "setFreshness") return setFreshness(sql, write);
  if (write.kind === "addUnverified") return addUnverified(sql, write);
  const { key } = write;
  if (write.kind === "removeFreshness") {
    const until = write.until ?? null;
    return changed(
      await sql`DELETE FROM sluice_freshness WHERE key = ${key} AND (${until}::bigint IS NULL OR checked_at <= ${until})`,
    );
  }
  const h1 = write.h1 ?? null;
  return changed(await sql`DELETE FROM sluice_unverified WHERE key = ${key} AND (${h1}::text IS NULL OR h1 = ${h1})`);
}

/** In two statements: the second sees what another node has committed while the first waited for it. */
async function addFacts(sql: Statements, facts: FileFacts): Promise<WriteOutcome> {
  const { key, size, sha256, h1, source, firstSeenAt } = facts;
  const [added, [standing]] = await Promise.all([
    sql`
      INSERT INTO sluice_facts (key, size, sha256, h1, source, first_seen_at)
      VALUES (${key}, ${size}, ${sha256}, ${h1 ?? null}, ${source}, ${firstSeenAt}) ON CONFLICT (key) DO NOTHING`,
    sql`SELECT * FROM sluice_facts WHERE key = ${key}`,
  ]);
  return { standing: toFacts(standing), ...changed(added) };
}

async function removeFacts(sql: Statements, write: Write<"removeFacts">): Promise<WriteOutcome> {
  const { key } = write;
  const sha256 = write.sha256 ?? null;
  const [removed] = await Promise.all([
    sql`DELETE FROM sluice_facts WHERE key = ${key} AND (${sha256}::text IS NULL OR sha256 = ${sha256})`,
    sql`DELETE FROM sluice_uses WHERE key = ${key} AND NOT EXISTS (SELECT 1 FROM sluice_facts WHERE key = ${key})`,
  ]);
  return changed(removed);
}

async function setFreshness(sql: Statements, { freshness }: Write<"setFreshness">): Promise<WriteOutcome> {
  const { key, sha256, source, checkedAt } = freshness;
  return changed(
    await sql`
      INSERT INTO sluice_freshness AS old (key, sha256, source, checked_at) VALUES (${key}, ${sha256}, ${source}, ${checkedAt})
      ON CONFLICT (key) DO UPDATE SET
        previous_sha256 = CASE WHEN old.sha256 = excluded.sha256 THEN old.previous_sha256 ELSE old.sha256 END,
        sha256 = excluded.sha256, source = excluded.source, checked_at = excluded.checked_at
      WHERE old.checked_at <= excluded.checked_at`,
  );
}

async function addUnverified(sql: Statements, { file }: Write<"addUnverified">): Promise<WriteOutcome> {
  const { key, h1, reason, since } = file;
  return changed(
    await sql`
      INSERT INTO sluice_unverified (key, h1, reason, since) VALUES (${key}, ${h1}, ${reason}, ${since})
      ON CONFLICT (key) DO UPDATE SET h1 = excluded.h1, reason = excluded.reason, since = excluded.since`,
  );
}

type Write<Kind extends LedgerWrite["kind"]> = Extract<LedgerWrite, { readonly kind: Kind }>;

function changed({ count }: { readonly count: number }): WriteOutcome {
  return { isChanged: count > 0 };
}
