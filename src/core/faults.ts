/** What a drill may break, and where: at the way out, in front of a store. */
export type Fault =
  | "upstream-503"
  | "upstream-slow"
  | "upstream-cut"
  | "upstream-down"
  | "bucket-down"
  | "bucket-slow"
  | "database-down"
  | "redis-down"
  | "disk-full";

/** The fault that is put in now. There is a board only where the configuration allows drills, so that it costs others nothing. */
export class FaultBoard {
  #fault: Fault | undefined;
  #over = new AbortController();

  is(fault: Fault): boolean {
    return this.#fault === fault;
  }

  begin(fault: Fault): void {
    this.end();
    this.#over = new AbortController();
    this.#fault = fault;
  }

  end(): void {
    this.#fault = undefined;
    this.#over.abort();
  }

  /** As long as this fault is put in: an error that looks like that of a server which is not there. */
  refusal(fault: Fault): Error | undefined {
    if (this.#fault !== fault) return undefined;
    return Object.assign(new Error(`connect ECONNREFUSED (the drill ${fault})`), { code: "ECONNREFUSED" });
  }

  /** Aborted when the fault that is put in now ends. */
  get over(): AbortSignal {
    return this.#over.signal;
  }
}
