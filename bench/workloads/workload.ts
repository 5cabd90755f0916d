import type { Measurement } from "../measurement.ts";
import type { BenchOptions } from "../options.ts";
import type { Peer } from "../peers/peer.ts";

/** What the workloads share. */
export interface Bench {
  readonly options: BenchOptions;
  /** Those that can take part on this machine. */
  readonly peers: readonly Peer[];
  /** The modules of the load, in the GOPROXY layout. */
  readonly tree: string;
  /** Whether the user wants this one. */
  wants(name: string): boolean;
  /** A line for who waits. */
  progress(text: string): void;
  /** A line for the readers of the report. */
  remark(text: string): void;
}

/** Some measurements that share servers. */
export interface Workload {
  readonly names: readonly string[];
  run(bench: Bench): Promise<readonly Measurement[]>;
}
