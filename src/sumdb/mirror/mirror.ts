import { answerBytes } from "../../core/answer.ts";
import { SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { ServedLog } from "../../core/served-log.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { formatLookup } from "../../protocol/sumdb/index.ts";
import type { KnownTree, RemoteLog } from "../client/remote-log.ts";

export interface LogMirrorOptions {
  readonly log: RemoteLog;
  /** Modules whose names are not told to this database, nor what stands above them. */
  readonly isPrivate: (modulePath: ModulePath) => boolean;
  readonly clock: Clock;
  /** How old a tree may be that `latest` answers without asking. */
  readonly latestTtlMs: number;
}

/**
 * Relays a checksum database of others. Clients see one tree, ours: a lookup is answered with it, and not with the tree that the
 * record came with, so that all they need to prove the record is here, also when the log is gone.
 */
export function createLogMirror({ log, isPrivate, clock, latestTtlMs }: LogMirrorOptions): ServedLog {
  const { name } = log;
  const anyTree = { maxAgeMs: Number.POSITIVE_INFINITY };

  return {
    name,
    async latest(context) {
      const before = clock.now();
      const tree = await log.tree(context, { maxAgeMs: latestTtlMs });
      const freshForMs = freshFor(tree);
      const cache = freshForMs === 0 ? "stale" : tree.confirmedAt >= before ? "miss" : "hit";
      return answerBytes(tree.note, { source: name, cache, freshForMs });
    },
    async lookup(modulePath, version, context) {
      if (isPrivate(modulePath)) throw privateName(modulePath, version);
      const { id, text, isStored } = await log.lookup(modulePath, version, context);
      const tree = await log.tree(context, anyTree);
      const bytes = formatLookup(id, text, tree.note);
      return answerBytes(bytes, { source: name, cache: isStored ? "hit" : "miss", freshForMs: latestTtlMs });
    },
    async tile(tile, context) {
      const { bytes, isStored } = await log.tile(tile, context);
      const cache = isStored ? "hit" : "miss";
      return answerBytes(bytes, { source: name, cache, freshForMs: Number.POSITIVE_INFINITY });
    },
  };

  function freshFor({ confirmedAt }: KnownTree): number {
    const now = clock.now();
    return Math.max(0, Math.min(confirmedAt, now) + latestTtlMs - now);
  }

  function privateName(modulePath: ModulePath, version: Version): SluiceError {
    const lines = [
      `${modulePath}@${version}: this module is private here, so ${name} is not asked about it: that would tell its name.`,
      "  Set GONOSUMDB or GOPRIVATE for it on the client, or set GOSUMDB to this Sluice's own checksum database.",
    ];
    return new SluiceError("private_name", lines.join("\n"), { details: { database: name } });
  }
}
