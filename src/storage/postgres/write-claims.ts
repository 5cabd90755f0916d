import { claimLifetimeMs, type WriteClaims } from "../blob/write-claims.ts";
import type { PostgresDatabase } from "./database.ts";

/** Of the claims, the share that clears away those of writers that died. */
const clearingShare = 0.01;

/** Claims of all nodes that share this database, by its clock. */
export function createSharedClaims(database: PostgresDatabase): WriteClaims {
  return {
    claim: (object, writer) =>
      database.write(async (sql) => {
        if (Math.random() < clearingShare) {
          await sql`DELETE FROM sluice_write_claims WHERE claimed_at < clock_timestamp() - ${lifetime}::interval`;
        }
        // The same writer asks twice where an answer got lost.
        const held = await sql`
          INSERT INTO sluice_write_claims AS held (object, writer, claimed_at)
          VALUES (${object}, ${writer}, clock_timestamp())
          ON CONFLICT (object) DO UPDATE SET writer = excluded.writer, claimed_at = excluded.claimed_at
          WHERE held.writer = excluded.writer OR held.claimed_at < excluded.claimed_at - ${lifetime}::interval
          RETURNING object`;
        return held.length > 0;
      }),
    letGo: (object, writer) =>
      database.write(async (sql) => {
        await sql`DELETE FROM sluice_write_claims WHERE object = ${object} AND writer = ${writer}`;
      }),
  };
}

const lifetime = `${claimLifetimeMs} milliseconds`;
