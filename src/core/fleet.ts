import type { BlobKey } from "./ports.ts";

// What several processes or nodes of one Sluice tell each other. It saves work and time, and nothing depends on it: a message
// may be lost, and a lease may be held by two. Suites: test/suites/messages.ts, test/suites/leases.ts

/**
 * Which answers a purge is about: exact keys, a module (its list, `@latest` and queries, and what of it is remembered as missing),
 * or all modules that a list of patterns in the grammar of `GOPRIVATE` matches.
 */
export type PurgeSelection = (
  | { readonly keys: readonly BlobKey[] }
  | { readonly module: string }
  | { readonly pattern: string }
) & {
  /** Only what is remembered as missing. */
  readonly onlyMissing?: boolean | undefined;
};

export type FleetMessage =
  /** Answers that can change, and what is remembered as not there, are to be asked for anew. */
  | { readonly type: "purged"; readonly selection: PurgeSelection }
  /** A stored file turned out to be wrong: whoever has it in memory forgets it. */
  | { readonly type: "rejected"; readonly key: BlobKey }
  /** A file or record was just kept: what is remembered of it as missing, or as older, is not true any more. */
  | { readonly type: "kept"; readonly key: BlobKey }
  /** Requests that clients made elsewhere since the last such message, for shared rate limits. */
  | { readonly type: "spent"; readonly clients: readonly (readonly [client: string, requests: number])[] }
  | { readonly type: "offline"; readonly isOffline: boolean };

/** Everybody who shares it hears what the others publish, in no certain order, at most once. */
export interface Messages {
  /** Printable, without secrets. */
  readonly name: string;
  /** Never fails and never waits: what cannot be told now is lost. */
  publish(message: FleetMessage): void;
  /** Only what others publish. A listener does not throw. Answers how to end it. */
  subscribe(listener: (message: FleetMessage) => void): () => void;
  close(): Promise<void>;
}

export interface LeasedWork<T> {
  /** What the work would bring, if somebody else has done it meanwhile. Asked before the work, too, and whenever a lease may have ended. */
  readonly look: () => Promise<T | undefined>;
  readonly work: () => Promise<T>;
}

/** Who of those that share them does a piece of work. */
export interface Leases {
  readonly name: string;
  /**
   * Does `work` while nobody else does the work of this key, and keeps others from it meanwhile. Who comes second waits and
   * looks. Where nobody can be asked, or the other one fails, or takes longer than is worth waiting for, the work is done all the
   * same, whoever else does it.
   * Waiting is bounded. Fails with what `work` or `look` fails with.
   */
  run<T>(key: string, leased: LeasedWork<T>): Promise<T>;
  close(): Promise<void>;
}
