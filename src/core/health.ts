/** How one part of a node is, for `/readyz?verbose`, metrics and the log. */
export interface PartHealth {
  /** What it is and which, printable and without secrets: `upstream https://proxy.example.com`, `bucket s3://modules`. */
  readonly part: string;
  /** `degraded`: it works, with less than it should have. */
  readonly state: "ok" | "degraded" | "down";
  /** For people, on one line: what is wrong and what Sluice does about it, or figures of interest. */
  readonly detail: string;
  /** The node should get no traffic while it is down. Of upstreams and shared services none is: what is stored is served. */
  readonly isNeeded: boolean;
}

/** Asked by operators and load balancers: answers at once, from what is known already. */
export type HealthOf = () => readonly PartHealth[];
