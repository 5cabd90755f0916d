import { setImmediate } from "node:timers/promises";
import type { PartHealth } from "../../core/health.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import type { Secret } from "../../core/secret.ts";

export interface RedisLinkOptions {
  /** `redis://host:port/database` or `rediss://…`, without user name and password. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** For `rediss:`, in PEM. Default: Node's own. */
  readonly ca?: readonly string[] | undefined;
  /** Begins every key and channel. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly events: Events;
  /** Between 0 and 1. */
  readonly random?: () => number;
  /** Asked for each reply: what it fails with instead. For drills. */
  readonly refusal?: (() => Error | undefined) | undefined;
}

const probeScript = "return redis.call('PUBLISH', ARGV[1], redis.call('GET', KEYS[1]) or '')";

/** What is used of the library's client, whose own type depends on all of its options. */
interface Client {
  connect(): Promise<unknown>;
  sendCommand(command: readonly string[]): Promise<unknown>;
  subscribe(channel: string, listener: (text: string) => void): Promise<void>;
  destroy(): void;
}

/** What a request may wait for Redis when it hangs; after that nobody asks it until it answers again. */
const commandTimeoutMs = 1_000;
const connectTimeoutMs = 2_000;
/** How often an idle connection is tried. */
const heartbeatMs = 2_000;
const minPauseMs = 250;
const maxPauseMs = 5_000;
/** How long what the try of a new connection wrote may stay. */
const probeMs = 1_000;

/**
 * One connection to Redis, for commands and for what others publish, made again in the background for as long as it takes. While
 * it is down nobody waits for it. It counts as up only when a write and a subscription have succeeded, so that a replica, a full
 * Redis and missing permissions are told for what they are.
 */
export class RedisLink {
  readonly name: string;
  readonly prefix: string;
  /** Resolves when the first attempt to connect has ended, well or not. */
  readonly tried: Promise<void>;
  readonly #options: RedisLinkOptions;
  readonly #closing = new AbortController();
  readonly #channels = new Map<string, (text: string) => void>();
  readonly #breakListeners = new Set<() => void>();
  readonly #running: Promise<void>;
  /** The one that is up. */
  #client: Client | undefined;
  #break: (error: Error) => void = () => undefined;
  /** Why it is down, as operators were told. */
  #problem: string | undefined;

  constructor(options: RedisLinkOptions) {
    this.#options = options;
    this.name = `redis ${options.url}`;
    this.prefix = options.prefix;
    const tried = Promise.withResolvers<void>();
    this.tried = tried.promise;
    this.#running = this.#run(tried.resolve);
  }

  get isUp(): boolean {
    return this.#client !== undefined;
  }

  get health(): PartHealth {
    const part = { part: this.name, isNeeded: false };
    if (this.isUp) return { ...part, state: "ok", detail: "connected" };
    return { ...part, state: "down", detail: `${this.#problem ?? "not connected yet"}; this node goes on by itself` };
  }

  /** The reply, or undefined when there is none within a second. Never fails. */
  async ask(command: readonly string[]): Promise<unknown> {
    const client = this.#client;
    if (client === undefined) return undefined;
    try {
      return (await this.#within(commandTimeoutMs, client.sendCommand(command))) ?? null;
    } catch (error) {
      if (client === this.#client) this.#break(asError(error));
      return undefined;
    }
  }

  /** From the next connection on: in the turn of the event loop that made the link, from the first. */
  listen(channel: string, listener: (text: string) => void): void {
    this.#channels.set(`${this.prefix}:${channel}`, listener);
  }

  /** Answers how to end it. */
  onBreak(listener: () => void): () => void {
    this.#breakListeners.add(listener);
    return () => void this.#breakListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#break(new Error("closed"));
    await this.#running;
  }

  async #run(onTried: () => void): Promise<void> {
    // What uses the link tells what it listens to first.
    await setImmediate();
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted; failures += 1) {
      const connection = Promise.withResolvers<never>();
      connection.promise.catch(() => undefined);
      this.#break = connection.reject;
      let client: Client | undefined;
      try {
        client = await this.#open(connection.reject);
        await this.#within(connectTimeoutMs, Promise.race([this.#prepare(client), connection.promise]));
        failures = 0;
        this.#turnUp(client);
        onTried();
        await Promise.race([this.#beat(client), connection.promise]);
      } catch (error) {
        this.#turnDown(asError(error));
        onTried();
      } finally {
        client?.destroy();
      }
      await this.#pause(failures);
    }
  }

  async #open(onError: (error: Error) => void): Promise<Client> {
    const { url, username, password, ca } = this.#options;
    // It is large, and most have no Redis.
    const { createClient } = await import("@redis/client");
    const tls = url.startsWith("rediss:") ? { tls: true as const, ...(ca === undefined ? {} : { ca: [...ca] }) } : {};
    const client = createClient({
      url,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password: password.reveal() }),
      name: "sluice",
      disableClientInfo: true,
      maintNotifications: "disabled",
      socket: { ...tls, connectTimeout: connectTimeoutMs, reconnectStrategy: false },
    });
    client.on("error", onError);
    return client;
  }

  async #prepare(client: Client): Promise<void> {
    await client.connect();
    await client.sendCommand(["SET", `${this.prefix}:probe`, "1", "PX", String(probeMs)]);
    await client.sendCommand(["EVAL", probeScript, "1", `${this.prefix}:probe`, `${this.prefix}:probe`]);
    for (const [channel, listener] of this.#channels) await client.subscribe(channel, listener);
  }

  /** Fails when the connection answers no more. */
  async #beat(client: Client): Promise<never> {
    for (;;) {
      await this.#options.clock.sleep(heartbeatMs, this.#closing.signal);
      await this.#within(commandTimeoutMs, client.sendCommand(["PING"]));
    }
  }

  #turnUp(client: Client): void {
    this.#client = client;
    this.#problem = undefined;
    this.#options.events.emit({ type: "redis_state", redis: this.#options.url, isUp: true, reason: undefined });
  }

  #turnDown(error: Error): void {
    const wasUp = this.isUp;
    this.#client = undefined;
    for (const listener of this.#breakListeners) listener();
    const reason = error.message === "" ? error.name : error.message;
    if (this.#closing.signal.aborted || (!wasUp && this.#problem !== undefined)) return;
    this.#problem = reason;
    this.#options.events.emit({ type: "redis_state", redis: this.#options.url, isUp: false, reason });
  }

  /** Longer after each failure, and never at the same moment as everybody else. */
  async #pause(failures: number): Promise<void> {
    const { clock, random = Math.random } = this.#options;
    const longest = Math.min(maxPauseMs, minPauseMs * 2 ** failures);
    await clock.sleep(longest * (0.5 + random() / 2), this.#closing.signal).catch(() => undefined);
  }

  async #within<T>(ms: number, reply: Promise<T>): Promise<T> {
    const over = new AbortController();
    const late = this.#options.clock.sleep(ms, over.signal).then(async () => {
      // When this process itself was too busy to read, the reply may be there already.
      await setImmediate();
      await setImmediate();
      throw new Error(`no answer within ${ms} ms`);
    });
    late.catch(() => undefined);
    reply.catch(() => undefined);
    try {
      const refusal = this.#options.refusal?.();
      if (refusal !== undefined) throw refusal;
      return await Promise.race([reply, late]);
    } finally {
      over.abort();
    }
  }
}

function asError(error: unknown): Error {
  // A name with several addresses fails with one error for each.
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0];
  return error instanceof Error ? error : new Error(String(error));
}
