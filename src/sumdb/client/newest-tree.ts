import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, FetchContext, SignedTree } from "../../core/ports.ts";
import { Singleflight } from "../../core/singleflight.ts";
import type { Follower } from "./follower.ts";
import { invalid, missing, openOrRefuse } from "./problems.ts";
import type { LogTransport } from "./transport.ts";

export interface NewestTreeOptions {
  /** Of the database. */
  readonly name: string;
  readonly transport: LogTransport;
  readonly follower: Follower;
  readonly clock: Clock;
  readonly events: Events;
  /** In which it is asked for, whoever began. */
  readonly flightContext: (asker: FetchContext) => FetchContext;
}

/** How long a newer tree is waited for when there is one to go on with. */
const patienceMs = 5000;
/** After the log failed to say its newest tree, how long it is not asked again while there is one to go on with. */
const restAfterFailureMs = 15_000;

/** Asks a log for its newest tree, one at a time for all askers, and follows it there. */
export class NewestTree {
  readonly #options: NewestTreeOptions;
  readonly #reads = new Singleflight<SignedTree>();
  readonly #refreshes = new Singleflight<SignedTree>();
  #confirmedAt = 0;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(options: NewestTreeOptions) {
    this.#options = options;
  }

  /** When the log last said its newest tree, in milliseconds since the epoch; 0: not yet. */
  get confirmedAt(): number {
    return this.#confirmedAt;
  }

  /** Whether that is longer ago. A time that is still to come is one of a clock that was wrong. */
  isOlder(ms: number): boolean {
    const age = this.#options.clock.now() - this.#confirmedAt;
    return age > ms || age < 0;
  }

  /** Asks for it beside a first lookup: with the tree that comes with that, which may be years old, the next lookups would need others. */
  async first(context: FetchContext): Promise<SignedTree | undefined> {
    if ((await this.#options.follower.timeline()).isFollowed) return undefined;
    try {
      return await this.#read(context);
    } catch (error) {
      // Proxies need not have it: go does not ask for it.
      if (isUnavailable(error)) return undefined;
      throw error;
    }
  }

  /** Follows the log to its newest tree. Fails when it cannot be asked. */
  refresh(context: FetchContext): Promise<SignedTree> {
    return this.#refreshes.run("", async () => {
      const { clock, follower, flightContext } = this.#options;
      const own = flightContext(context);
      try {
        const { tree } = await follower.follow(await this.#read(own), own);
        this.#confirmedAt = clock.now();
        return tree;
      } catch (error) {
        this.#failedAt = clock.now();
        throw error;
      }
    });
  }

  /** The newest tree that is known, confirmed within `maxAgeMs` if the log can be asked. Fails when none is known and the log cannot be asked. */
  async find(context: FetchContext, maxAgeMs: number): Promise<SignedTree> {
    const { follower, clock } = this.#options;
    const { tree, isFollowed } = await follower.timeline();
    if (!isFollowed) return this.refresh(context);
    if (!this.isOlder(maxAgeMs) || clock.now() - this.#failedAt < restAfterFailureMs) return tree;
    try {
      return await this.#withPatience(this.refresh(context));
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return (await follower.timeline()).tree;
    }
  }

  async settled(): Promise<void> {
    await Promise.all([this.#reads.settled(), this.#refreshes.settled()]);
  }

  /** What the log says is its newest tree. Signed, and not proven yet. */
  #read(context: FetchContext): Promise<SignedTree> {
    return this.#reads.run("", async () => {
      const { name, transport, follower, events } = this.#options;
      const { bytes, via } = await transport.get("latest", "latest", context).catch((error: unknown) => {
        throw isSluiceError(error, "not_found") ? missing("latest", { database: name, cause: error }) : error;
      });
      return openOrRefuse(
        () => follower.open(bytes),
        (reason, cause) => invalid(events, { database: name, via, reason: `the answer for latest ${reason}`, cause }),
      );
    });
  }

  async #withPatience<T>(promise: Promise<T>): Promise<T> {
    const { clock, name } = this.#options;
    const over = new AbortController();
    const outOfPatience = clock.sleep(patienceMs, over.signal).then(() => {
      throw new SluiceError("upstream_timeout", `${name}: takes too long to say its newest tree`);
    });
    outOfPatience.catch(() => undefined);
    try {
      return await Promise.race([promise, outOfPatience]);
    } finally {
      over.abort();
    }
  }
}

/** The log could not be asked, or did not answer properly. Neither says that it lies. */
function isUnavailable(error: unknown): boolean {
  return isSluiceError(
    error,
    "upstream_failed",
    "upstream_timeout",
    "upstream_refused",
    "upstream_invalid",
    "overloaded",
    "offline",
    "loop",
    "cancelled",
  );
}
