import { isSluiceError } from "../core/errors.ts";
import type { PartHealth } from "../core/health.ts";
import type { SluiceEvent } from "../core/events.ts";
import type { BlobKey } from "../core/ports.ts";
import { isStoreRefusal } from "../core/store-refusal.ts";

/** That something is wrong, or well again. */
export interface Sign {
  /** What it is about. Printable, without secrets. */
  readonly subject: string;
  /** For people. */
  readonly what: string;
  /** When it was seen, in milliseconds since the epoch, where that is not now. */
  readonly at?: number;
}

/** What a check may look at. */
export interface Checkup {
  readonly parts: readonly PartHealth[];
  /** It is there, and is what was recorded of it. */
  readonly isStored: (key: BlobKey) => Promise<boolean>;
}

/**
 * How one kind of trouble is noticed, what Sluice does about it, and how it knows that it is over. The work itself is done by the
 * part that is concerned; a rule tells what it does, and holds it to the end.
 */
export interface HealingRule {
  readonly name: string;
  /** For people, as are `act` and `check`. */
  readonly detect: string;
  readonly act: string;
  readonly check: string;
  /** The trouble that this event tells of, if it does. */
  readonly sign?: (event: SluiceEvent) => Sign | undefined;
  /** The same of how a part is. */
  readonly signOfPart?: (part: PartHealth) => Sign | undefined;
  /** What this event tells to be over, if it does. */
  readonly cure?: (event: SluiceEvent) => Sign | undefined;
  /** Asked from time to time while there is trouble: why it is over, or undefined. */
  readonly isOver?: (subject: string, checkup: Checkup) => Promise<string | undefined> | string | undefined;
  /** It is not over before so much time without another sign. */
  readonly quietMs?: number;
}

const fileKey = /^(?!sumdb\/).+\/@v\/[^/]+\.(?:info|mod|zip)$/;
const fullDisk = /\b(?:ENOSPC|EDQUOT)\b|disk is full/;

/** Every kind of trouble that Sluice gets out of by itself, or watches until an operator does. `docs/runbook.md` has a section for each. */
export const healingRules: readonly HealingRule[] = [
  {
    name: "corrupt-file",
    detect: "a stored file is not what was recorded of it when it is read, scrubbed or sent",
    act: "it is set aside into the quarantine and never served; it is fetched again, and taken only with the recorded h1",
    check: "a file with the recorded size and SHA-256 stands in its place",
    sign: (event) =>
      event.type === "file_corrupt" && fileKey.test(event.key) ? { subject: event.key, what: event.reason } : undefined,
    cure(event) {
      if (event.type === "file_stored") return { subject: event.key, what: `stored again from ${event.source}` };
      if (event.type === "fetch_ended" && event.outcome === "ok") return { subject: event.key, what: "fetched again" };
      if (event.type === "file_healed" && event.outcome === "healed") {
        return { subject: event.key, what: "a good copy took its place" };
      }
      return undefined;
    },
    isOver: async (key, { isStored }) =>
      (await isStored(key)) ? "the stored file is what was recorded of it" : undefined,
  },
  {
    name: "upstream-unwell",
    detect: "an upstream fails, hangs or is slow, so that its breaker opens or it counts as degraded",
    act: "while it is down it gets trial requests only; others of its group are asked first, stale answers are served, and who needs only this one waits for it",
    check: "its requests or checks succeed again, and it counts as ok",
    sign: (event) =>
      event.type === "upstream_state" && event.state !== "ok"
        ? { subject: event.upstream, what: `${event.state}: ${event.reason}` }
        : undefined,
    cure: (event) =>
      event.type === "upstream_state" && event.state === "ok"
        ? { subject: event.upstream, what: event.reason }
        : undefined,
    isOver: (upstream, { parts }) => partIsWell(`upstream ${upstream}`, parts),
  },
  {
    name: "bucket-down",
    detect: "the bucket behind the disk fails or does not answer in time",
    act: "it is left alone for a while; the disk and the upstreams answer, and what is new waits in the durable outbox",
    check: "the bucket answers again",
    sign: (event) =>
      event.type === "bucket_state" && event.state === "down"
        ? { subject: event.bucket, what: event.reason ?? "no answer" }
        : undefined,
    cure: (event) =>
      event.type === "bucket_state" && event.state === "ok" ? { subject: event.bucket, what: "it answers" } : undefined,
    isOver: (bucket, { parts }) => partIsWell(`bucket ${bucket}`, parts),
  },
  {
    name: "outbox-late",
    detect: "what should be in the bucket waits on this disk for too long",
    act: "it is sent again and again, and stays on this disk until the bucket has it; nothing of it is evicted",
    check: "nothing has waited for that long",
    signOfPart: ({ part, state, detail }) =>
      part === "outbox" && state !== "ok" ? { subject: part, what: detail } : undefined,
    isOver: (part, { parts }) => partIsWell(part, parts),
  },
  {
    name: "database-down",
    detect: "PostgreSQL fails or does not answer in time",
    act: "this node goes on with what it knows itself; what it has to tell is queued on its disk",
    check: "the database answers again",
    sign: (event) =>
      event.type === "database_state" && event.state === "down"
        ? { subject: event.database, what: event.reason ?? "no answer" }
        : undefined,
    cure: (event) =>
      event.type === "database_state" && event.state === "up"
        ? { subject: event.database, what: "it answers" }
        : undefined,
    isOver: (database, { parts }) => partIsWell(`database ${database}`, parts),
  },
  {
    name: "redis-down",
    detect: "Redis fails or does not answer within a second",
    act: "this node goes on by itself: it fetches what it needs, without leases, and tries to connect again",
    check: "it is connected",
    sign: (event) =>
      event.type === "redis_state" && !event.isUp
        ? { subject: event.redis, what: event.reason ?? "no answer" }
        : undefined,
    cure: (event) =>
      event.type === "redis_state" && event.isUp ? { subject: event.redis, what: "connected" } : undefined,
    isOver: (redis, { parts }) => partIsWell(`redis ${redis}`, parts),
  },
  {
    name: "disk-full",
    detect: "the store cannot write, because no space or no quota is left",
    act: "nothing more is kept, and everything is served: from the disk as before, and new files through memory",
    check: "the store can be written, and nothing has failed for a while",
    quietMs: 5000,
    sign: (event) =>
      event.type === "store_failed" && isFullDisk(event.error)
        ? { subject: event.store, what: event.error.message }
        : undefined,
    isOver: (_store, { parts }) => storeIsWell(parts),
  },
  {
    name: "disk-low",
    detect: "the disk in front of a bucket is nearly full, or its cache is over its quota",
    act: "what nobody used for longest is evicted, once the bucket has said that it has it",
    check: "the cache is within its bounds, and nothing had to go for a while",
    quietMs: 60_000,
    sign: (event) =>
      event.type === "cache_evicted" && event.reason === "space"
        ? { subject: "disk cache", what: `${event.files} files were evicted, as the disk is nearly full` }
        : undefined,
    signOfPart: ({ part, state, detail }) =>
      part === "disk cache" && state !== "ok" ? { subject: part, what: detail } : undefined,
    isOver: (part, { parts }) => partIsWell(part, parts),
  },
  {
    name: "disk-reserve",
    detect: "the disk has less free space than `reserve` of [store], and nothing could be removed to change that",
    act: "no new file is kept, so that databases and logs can still be written; clients get new files through memory, and what is stored as before",
    check: "more than the reserve is free again",
    sign: (event) =>
      event.type === "disk_space" && event.state === "low"
        ? {
            subject: event.folder,
            what: `${mib(event.freeBytes)} MiB are free, the reserve is ${mib(event.reserveBytes)} MiB`,
          }
        : undefined,
    cure: (event) =>
      event.type === "disk_space" && event.state === "ok"
        ? { subject: event.folder, what: `${mib(event.freeBytes)} MiB are free` }
        : undefined,
    isOver: (_folder, { parts }) => partIsWell("disk space", parts),
  },
  {
    name: "store-failing",
    detect:
      "the store fails for another reason than a full disk: permissions, I/O errors, a database that cannot be written",
    act: "answers go on from memory and from the upstreams; what cannot be kept is passed on all the same",
    check: "the store can be read and written, and nothing has failed for a while",
    quietMs: 10_000,
    sign: (event) =>
      event.type === "store_failed" && !isFullDisk(event.error) && !isStoreRefusal(event.error)
        ? { subject: event.store, what: event.error.message }
        : undefined,
    isOver: (_store, { parts }) => storeIsWell(parts),
  },
  {
    name: "mirror-damaged",
    detect: "git finds a mirror of a repository damaged",
    act: "the mirror is set aside, and the request is done again on a new one",
    check: "the repository was fetched",
    sign: (event) =>
      event.type === "git_mirror_damaged" ? { subject: event.repository, what: event.reason } : undefined,
    cure: (event) =>
      event.type === "git_fetch" && event.outcome === "ok" && event.kind !== "refs"
        ? { subject: event.repository, what: `fetched anew (${event.kind})` }
        : undefined,
  },
  {
    name: "overload",
    detect: "there are more fetches, a later event loop or more memory in use than [limits] allows",
    act: "work is refused in a fixed order, what runs in the background first and stored content last",
    check: "the load is within its limits, and nothing was refused for a while",
    quietMs: 10_000,
    sign: (event) => (event.type === "work_shed" ? { subject: "load", what: event.reason } : undefined),
    isOver: (part, { parts }) => partIsWell(part, parts),
  },
  {
    name: "unverified-files",
    detect: "files were kept that no checksum database could confirm at that time",
    act: "they are marked, and compared again in the background; one that turns out to be wrong is set aside",
    check: "all of them were compared again",
    sign: (event) =>
      event.type === "sum_checked" && event.outcome === "unverified"
        ? { subject: "unverified files", what: event.reason ?? `${event.database} did not confirm a file` }
        : undefined,
    cure: (event) =>
      event.type === "sum_recheck" && event.outcome === "complete"
        ? {
            subject: "unverified files",
            what: `${event.confirmed} confirmed, ${event.rejected} refused, ${event.left} unknown to every database`,
          }
        : undefined,
  },
  {
    name: "checksum-fork",
    detect: "a checksum database has shown two signed histories",
    act: "nothing is verified with it any more, and both notes are kept; stored files are served",
    check: "an operator has decided (`sluice sumdb forget-tree`), and it confirms files again",
    sign: (event) =>
      event.type === "sum_fork"
        ? { subject: event.database, what: `trees of ${event.ourSize} and ${event.theirSize} records disagree` }
        : undefined,
    cure: (event) =>
      event.type === "sum_checked" && event.outcome === "verified"
        ? { subject: event.database, what: "it confirms files again" }
        : undefined,
  },
  {
    name: "process-lost",
    detect: "the engine or a front ends, does not answer any more, or does not start",
    act: "one that hangs is killed; another one is started, at once or after longer and longer pauses, and gets the requests that were under way",
    check: "the one in its place answers",
    sign: (event) =>
      event.type === "process_lost"
        ? { subject: event.process, what: `process ${event.pid}: ${event.how}`, at: event.at }
        : undefined,
    cure: (event) =>
      event.type === "process_back" ? { subject: event.process, what: `process ${event.pid} answers` } : undefined,
  },
  {
    name: "config-refused",
    detect: "a new configuration cannot be used",
    act: "the one before stays in force",
    check: "a new one was taken",
    sign: (event) =>
      event.type === "config_refused" ? { subject: "configuration", what: event.error.message } : undefined,
    cure: (event) =>
      event.type === "config_reloaded" ? { subject: "configuration", what: "the new one counts" } : undefined,
  },
];

/** A part that is not there any more is no trouble: the configuration has changed. */
function partIsWell(name: string, parts: readonly PartHealth[]): string | undefined {
  const part = parts.find((candidate) => candidate.part === name);
  if (part === undefined) return "it is not used any more";
  return part.state === "ok" ? part.detail : undefined;
}

function storeIsWell(parts: readonly PartHealth[]): string | undefined {
  const store = parts.find(({ part }) => part.startsWith("store "));
  return store?.state === "ok" ? store.detail : undefined;
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function isFullDisk(error: Error): boolean {
  return fullDisk.test(error.message) || (isSluiceError(error) && fullDisk.test(String(error.details["errno"])));
}
