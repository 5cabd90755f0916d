import type { LogFiles } from "../log-files.ts";
import type { Usage } from "../server-process.ts";

export type PeerName = "sluice" | "nginx" | "goproxy";

/** What a peer is started with. */
export interface PeerStart {
  /** Empty, the peer's own; holds its store, its config and its logs. */
  readonly folder: string;
  /** A tree in the GOPROXY layout: nginx serves it. */
  readonly tree: string;
  /** A GOPROXY with the same files, which proxies fetch from; a chain as go reads it. */
  readonly upstream: string;
  /** A checksum database, which the upstream relays; without one, none is asked. */
  readonly log?: LogFiles;
}

/** A server under test. */
export interface Peer {
  readonly name: PeerName;
  /** Static servers have nothing to fetch: they stay out of cold workloads. */
  readonly isProxy: boolean;
  /** Makes it ready to start; answers why it cannot take part, or undefined. */
  prepare(): Promise<string | undefined>;
  /** Resolves when it answers requests. */
  start(options: PeerStart): Promise<RunningPeer>;
}

export interface RunningPeer {
  readonly name: PeerName;
  readonly url: URL;
  usage(): Usage;
  stop(): Promise<void>;
}
