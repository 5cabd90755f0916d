import type { DrillReport } from "./drill.ts";
import type { PartHealth } from "./health.ts";
import type { EndedIncident, Incident } from "./incident.ts";
import type { BlobKey } from "./ports.ts";

/** What operators are told. ops/ turns it into log lines, metrics and incidents. */
export type SluiceEvent =
  | { readonly type: "file_stored"; readonly key: BlobKey; readonly source: string; readonly size: number }
  | { readonly type: "file_corrupt"; readonly key: BlobKey; readonly reason: string }
  /** In place of a broken file a good one stands again, or cannot be had now. */
  | {
      readonly type: "file_healed";
      readonly key: BlobKey;
      /** `healed`, or the error's code. */
      readonly outcome: string;
      /** Since it was found broken. */
      readonly durationMs: number;
      readonly reason?: string | undefined;
    }
  /** All of the store was read once. */
  | {
      readonly type: "scrub_ended";
      readonly files: number;
      readonly bytes: number;
      readonly broken: number;
      readonly durationMs: number;
    }
  /** Files were removed to make room. */
  | { readonly type: "store_collected"; readonly files: number; readonly bytes: number; readonly leftBytes: number }
  | { readonly type: "store_failed"; readonly store: string; readonly operation: string; readonly error: Error }
  /** The disk has less free space than files leave alone, so that none is kept any more, or has enough again. */
  | {
      readonly type: "disk_space";
      readonly folder: string;
      readonly state: "low" | "ok";
      readonly freeBytes: number;
      readonly reserveBytes: number;
    }
  /** A database that nodes share was lost, or answers again. */
  | {
      readonly type: "database_state";
      /** Its printable name. */
      readonly database: string;
      readonly state: "up" | "down";
      readonly reason?: string | undefined;
    }
  /** What had to wait for the shared ledger is written there now. */
  | { readonly type: "ledger_caught_up"; readonly ledger: string; readonly writes: number }
  /** Another node was first with a file of another h1. Its one stands, ours is set aside. */
  | {
      readonly type: "ledger_conflict";
      readonly key: BlobKey;
      readonly h1: string;
      readonly source: string;
      readonly standingH1: string;
      readonly standingSource: string;
    }
  /** The bucket behind the disk cannot be asked any more (and is left alone), or can again. */
  | {
      readonly type: "bucket_state";
      readonly bucket: string;
      readonly state: "ok" | "down";
      readonly reason?: string | undefined;
    }
  /** How much of what is on this disk the bucket does not have yet. */
  | {
      readonly type: "outbox";
      readonly waiting: number;
      /** Milliseconds since the epoch, of what waits for longest. */
      readonly oldestAt: number | undefined;
    }
  /** Another node was first with another file of this name: ours is set aside, and theirs is served. */
  | { readonly type: "bucket_conflict"; readonly key: BlobKey; readonly bucket: string }
  /** Files of the disk cache made room; the bucket has them. */
  | {
      readonly type: "cache_evicted";
      readonly files: number;
      readonly bytes: number;
      readonly reason: "quota" | "space";
      /** What is left in the cache. */
      readonly leftBytes: number;
    }
  | { readonly type: "integrity_failed"; readonly key: BlobKey; readonly source: string; readonly reason: string }
  | { readonly type: "fetch_started"; readonly key: BlobKey }
  /** A body that had broken off was gone on with; so many bytes were not sent again. */
  | { readonly type: "fetch_resumed"; readonly key: BlobKey; readonly source: string; readonly bytes: number }
  | { readonly type: "fetch_ended"; readonly key: BlobKey; readonly outcome: string; readonly durationMs: number }
  | {
      readonly type: "upstream_attempt";
      readonly upstream: string;
      readonly key: BlobKey;
      readonly attempt: number;
      /** `ok`, or the error's code. */
      readonly outcome: string;
      readonly status: number | undefined;
      /** Until the first byte of the body, in milliseconds. */
      readonly firstByteMs: number | undefined;
      readonly durationMs: number;
      readonly error?: Error | undefined;
    }
  | {
      readonly type: "upstream_state";
      readonly upstream: string;
      readonly state: PartHealth["state"];
      readonly reason: string;
    }
  /** An answer was late; what came of it is in net/hedge.ts. `to`: who was asked as well, the same upstream or its equal. */
  | { readonly type: "upstream_hedge"; readonly upstream: string; readonly to: string; readonly outcome: string }
  /** It was asked for something cheap, to learn whether it is there. `ok`, or the error's code. */
  | { readonly type: "upstream_check"; readonly upstream: string; readonly outcome: string }
  | {
      readonly type: "git_fetch";
      readonly repository: string;
      /** The names of branches and tags; single commits; everything; or commits that nobody asked for yet. */
      readonly kind: "refs" | "tips" | "history" | "ahead";
      /** `ok`, `damaged`, or the error's code. */
      readonly outcome: string;
      readonly durationMs: number;
    }
  /** Nobody used it for long, or it was needed least where there is no space for all. */
  | { readonly type: "git_mirror_removed"; readonly repository: string; readonly reason: "unused" | "space" }
  /** It was ended where it brought more than one fetch may. */
  | { readonly type: "git_fetch_too_large"; readonly repository: string; readonly maxBytes: number }
  | { readonly type: "git_mirror_damaged"; readonly repository: string; readonly reason: string }
  /** What is served does not change: a version stays at the commit it was first served from. */
  | {
      readonly type: "tag_moved";
      readonly repository: string;
      readonly tag: string;
      /** The commits' hashes. */
      readonly from: string;
      readonly to: string;
    }
  /** A file was compared with a checksum database, or could not be. */
  | {
      readonly type: "sum_checked";
      readonly key: BlobKey;
      readonly database: string;
      readonly outcome: "verified" | "unverified" | "mismatch" | "refused";
      readonly source: string;
      readonly reason?: string | undefined;
    }
  /** Stored files that were unverified were compared once more. */
  | {
      readonly type: "sum_recheck";
      /** `interrupted`: a database could not be asked, and the others were not tried. */
      readonly outcome: "complete" | "interrupted";
      readonly confirmed: number;
      readonly rejected: number;
      /** Still unverified. */
      readonly left: number;
      readonly reason?: string | undefined;
    }
  /** One request to a checksum database. */
  | {
      readonly type: "sum_request";
      readonly database: string;
      /** Where it was asked: a proxy or the database itself. */
      readonly via: string;
      readonly kind: "lookup" | "tile" | "latest" | "supported";
      /** `ok`, or the error's code. */
      readonly outcome: string;
      readonly durationMs: number;
    }
  /** The log showed two histories. Nothing is verified with it any more until an operator decides. */
  | { readonly type: "sum_fork"; readonly database: string; readonly ourSize: number; readonly theirSize: number }
  /** What was sent for a log is not signed by it, or does not belong to its tree. It was not kept. */
  | { readonly type: "sum_invalid"; readonly database: string; readonly via: string; readonly reason: string }
  /** Our own log has grown. */
  | { readonly type: "sum_appended"; readonly log: string; readonly records: number; readonly size: number }
  /** One of the processes of this Sluice ended that should not have, or hung and was killed; another one takes its place after `restartMs`. */
  | {
      readonly type: "process_lost";
      readonly role: "engine" | "front";
      /** `engine`, or a front's place, such as `front 2`, which its successor takes. */
      readonly process: string;
      readonly pid: number;
      /** For people. */
      readonly how: string;
      /** Milliseconds since the epoch. */
      readonly at: number;
      readonly restartMs: number;
    }
  /** The one that took its place answers. */
  | { readonly type: "process_back"; readonly process: string; readonly pid: number }
  /** From now on another configuration counts, but for these settings of it, which take a restart. */
  | { readonly type: "config_reloaded"; readonly needRestart: readonly string[] }
  /** Something is wrong with it, and the one before still counts. */
  | { readonly type: "config_refused"; readonly error: Error }
  /** What nodes or processes of one Sluice told each other. */
  | {
      readonly type: "fleet_message";
      readonly via: "redis" | "processes";
      readonly direction: "out" | "in" | "dropped";
      /** The message's type; `unknown` for what is none, or one of another version. */
      readonly kind: string;
    }
  /** Redis is there, or not any more. Told when that changes, and when the first attempt fails. */
  | {
      readonly type: "redis_state";
      readonly redis: string;
      readonly isUp: boolean;
      readonly reason: string | undefined;
    }
  /** A piece of work that is shared with other nodes begins here, or was done elsewhere. */
  | {
      readonly type: "lease";
      /**
       * `worked`: here, while the others wait. `found`: another node has done it. Here whoever else does it, because `alone`: no
       * node could be asked, `overdue`: another one took too long, `failed`: another one failed.
       */
      readonly outcome: "worked" | "found" | "alone" | "overdue" | "failed";
      readonly waitedMs: number;
    }
  /** Another node took over what is still worked on here. */
  | { readonly type: "lease_lost"; readonly lease: string }
  /** Something is broken on purpose, and is not any more. */
  | { readonly type: "drill_started"; readonly drill: string; readonly seconds: number }
  | { readonly type: "drill_ended"; readonly report: DrillReport }
  /** A rule of ops/healing-rules.ts has noticed trouble, and follows it. */
  | { readonly type: "incident_opened"; readonly incident: Incident }
  | { readonly type: "incident_ended"; readonly incident: EndedIncident }
  /** There is too much to do, and this was not begun. `isNews`: nothing was shed for a while before. */
  | {
      readonly type: "work_shed";
      /** A class of core/load.ts. */
      readonly work: string;
      readonly reason: string;
      readonly isNews: boolean;
    }
  /** Somebody asked for something below `/-/` and is no operator. */
  | {
      readonly type: "operator_refused";
      readonly client: string;
      readonly shown: "no token" | "a wrong token";
      /** How many there were since the last one that was news. */
      readonly count: number;
      /** None was for a while before. */
      readonly isNews: boolean;
    }
  /** An operator wants answers asked for anew, here or at another node. */
  | {
      readonly type: "purged";
      readonly what: string;
      readonly by: "operator" | "fleet";
      /** So many things are not remembered as missing any more. */
      readonly missing: number;
      /** So many stored answers count as old now. */
      readonly records: number;
    }
  | {
      readonly type: "upstream_queue";
      readonly upstream: string;
      readonly running: number;
      readonly waiting: number;
      /** Requests that may be under way at the same time now. */
      readonly limit: number;
    };

export interface Events {
  emit(event: SluiceEvent): void;
}
