import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { LeasedWork, Leases } from "../../core/fleet.ts";
import type { Events, SluiceEvent } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import { tryParseJson } from "./json.ts";
import type { RedisLink } from "./link.ts";
import { type Waiter, Waiters } from "./waiters.ts";

export interface RedisLeaseOptions {
  readonly clock: Clock;
  readonly events: Events;
  /** Who shares it shares what the work brings. Others never wait for each other. */
  readonly scope: string;
  /** How long the work of others is waited for. */
  readonly maxWaitMs: number;
  /** After so long without renewal, the one who had a lease counts as dead. Renewed thrice as often. Default 6 s. */
  readonly leaseMs?: number;
  /** Between 0 and 1. */
  readonly random?: () => number;
}

const channel = "leases";
const defaultLeaseMs = 6_000;
/** Notices may be lost, and who is killed sends none. */
const pollMs = 1_000;

// One that is gone is taken again: Redis was started anew, or this process was stopped for a while and nobody noticed.
const renewScript = `
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if not holder then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1 end
return 0`;

const releaseScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return redis.call('PUBLISH', ARGV[2], ARGV[3])`;

type LeaseOutcome = Extract<SluiceEvent, { readonly type: "lease" }>["outcome"];

const noticeSchema = z.object({ lease: z.string(), isDone: z.boolean() });

/** Leases by keys of Redis that expire. A token tells whose they are. */
export function createRedisLeases(link: RedisLink, options: RedisLeaseOptions): Leases {
  return new RedisLeases(link, options);
}

/** What one `run` knows of itself. */
interface Attempt {
  /** The key in Redis. */
  readonly lease: string;
  /** Its value, while it is ours. */
  readonly token: string;
  readonly startedAt: number;
}

class RedisLeases implements Leases {
  readonly name: string;
  readonly #link: RedisLink;
  readonly #options: RedisLeaseOptions;
  readonly #leaseMs: number;
  readonly #waiters = new Waiters();
  /** Under way. */
  readonly #releases = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(link: RedisLink, options: RedisLeaseOptions) {
    this.name = link.name;
    this.#link = link;
    this.#options = options;
    this.#leaseMs = options.leaseMs ?? defaultLeaseMs;
    link.listen(channel, (text) => {
      const notice = noticeSchema.safeParse(tryParseJson(text));
      if (notice.success) this.#waiters.wake(notice.data.lease, notice.data.isDone ? "done" : "failed");
    });
    link.onBreak(() => this.#waiters.wakeAll("unknown"));
  }

  async run<T>(key: string, leased: LeasedWork<T>): Promise<T> {
    const lease = `${this.#link.prefix}:lease:${this.#options.scope}:${key}`;
    const attempt = { lease, token: randomUUID(), startedAt: this.#options.clock.now() };
    const waiter = this.#waiters.add(lease);
    try {
      return await this.#run(attempt, waiter, leased);
    } finally {
      this.#waiters.remove(waiter);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#waiters.wakeAll("unknown");
    await Promise.all(this.#releases);
  }

  async #run<T>(attempt: Attempt, waiter: Waiter, leased: LeasedWork<T>): Promise<T> {
    const { clock, maxWaitMs } = this.#options;
    for (;;) {
      const taken = await this.#take(attempt);
      if (taken === "ours") return this.#workUnder(attempt, leased);
      if (taken === "unknown") return this.#workAlone("alone", attempt, leased);
      const found = await leased.look();
      if (found !== undefined) return this.#found(attempt, found);
      const leftMs = attempt.startedAt + maxWaitMs - clock.now();
      if (leftMs <= 0) return this.#workAlone("overdue", attempt, leased);
      const end = await waiter.next(Math.min(leftMs, this.#nextPollMs()), clock);
      if (end === "failed") return this.#workAlone("failed", attempt, leased);
    }
  }

  async #take({ lease, token }: Attempt): Promise<"ours" | "others" | "unknown"> {
    if (this.#isClosed) return "unknown";
    const reply = await this.#link.ask(["SET", lease, token, "NX", "PX", String(this.#leaseMs)]);
    if (reply === undefined) return "unknown";
    return reply === null ? "others" : "ours";
  }

  async #workUnder<T>(attempt: Attempt, { look, work }: LeasedWork<T>): Promise<T> {
    const over = new AbortController();
    void this.#renew(attempt, over.signal);
    let isDone = false;
    try {
      const found = await look();
      if (found === undefined) this.#tell("worked", attempt);
      const result = found === undefined ? await work() : this.#found(attempt, found);
      isDone = true;
      return result;
    } finally {
      over.abort();
      this.#release(attempt, isDone);
    }
  }

  #workAlone<T>(outcome: "alone" | "overdue" | "failed", attempt: Attempt, { work }: LeasedWork<T>): Promise<T> {
    this.#tell(outcome, attempt);
    return work();
  }

  #found<T>(attempt: Attempt, found: T): T {
    this.#tell("found", attempt);
    return found;
  }

  async #renew({ lease, token }: Attempt, signal: AbortSignal): Promise<void> {
    const { clock, events } = this.#options;
    for (;;) {
      const slept = await clock.sleep(this.#leaseMs / 3, signal).then(
        () => true,
        () => false,
      );
      if (!slept) return;
      const reply = await this.#link.ask(["EVAL", renewScript, "1", lease, token, String(this.#leaseMs)]);
      if (reply !== 0) continue;
      events.emit({ type: "lease_lost", lease });
      return;
    }
  }

  /** Nobody waits for it. It goes behind a renewal that is under way, so that none comes later. */
  #release({ lease, token }: Attempt, isDone: boolean): void {
    const notice = JSON.stringify({ lease, isDone });
    const release = this.#link.ask([
      "EVAL",
      releaseScript,
      "1",
      lease,
      token,
      `${this.#link.prefix}:${channel}`,
      notice,
    ]);
    this.#releases.add(release);
    void release.finally(() => this.#releases.delete(release));
  }

  #tell(outcome: LeaseOutcome, { startedAt }: Attempt): void {
    const { events, clock } = this.#options;
    events.emit({ type: "lease", outcome, waitedMs: clock.now() - startedAt });
  }

  #nextPollMs(): number {
    const { random = Math.random } = this.#options;
    return pollMs * (0.5 + random());
  }
}
