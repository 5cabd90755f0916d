import { sleepUnlessAborted } from "../core/clock.ts";
import type { Clock } from "../core/ports.ts";
import type { Child } from "./child.ts";
import { StartHung, untilReady, untilSilent } from "./child-life.ts";

export interface KeeperOptions {
  readonly start: () => Child;
  readonly clock: Clock;
  /** One ended that should not have, or hung and was killed. The next is started after so long. */
  readonly onLost: (lost: { readonly pid: number; readonly how: string; readonly restartMs: number }) => void;
  /** After one or more were lost, this one answers. */
  readonly onBack?: (pid: number) => void;
  /** Each one that does its work now. */
  readonly onUp?: (child: Child) => void;
}

/** A child that lived for so long was all right. */
const soundMs = 60_000;
const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** Beyond what a child takes to end by itself. */
const killAfterMs = 5000;
/** A first one that hangs is tried so often. */
const firstStarts = 3;
/** One that is only slow must start in the end, or none ever would. */
const mostDoublings = 4;

/** Keeps one child process running: one that ends or hangs has a successor, at once or, when that happens again and again, later. */
export class Keeper {
  readonly #options: KeeperOptions;
  readonly #closing = new AbortController();
  /** Those that may end. */
  readonly #leaving = new WeakSet<Child>();
  #current: Child | undefined;
  #next = Promise.withResolvers<void>();
  #failures = 0;
  #isLost = false;
  #isReviving = false;
  /** It was to be replaced while there was none. */
  #isOutdated = false;
  /** One change at a time, or two would take the place of one. */
  #changes: Promise<unknown> = Promise.resolve();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  get current(): Child | undefined {
    return this.#current;
  }

  /** The one that does its work, now or within that time. */
  async up(withinMs: number): Promise<Child | undefined> {
    if (this.#current !== undefined) return this.#current;
    const late = new AbortController();
    const waited = this.#options.clock.sleep(withinMs, late.signal).catch(() => undefined);
    await Promise.race([this.#next.promise, waited]);
    late.abort();
    return this.#current;
  }

  /** Resolves with its port when the first one does its work. Fails with `StartFailure`, and nothing is kept running then. */
  async begin(): Promise<number> {
    for (let start = 1; ; start += 1) {
      const child = this.#options.start();
      try {
        const port = await this.#ready(child);
        this.#keep(child);
        return port;
      } catch (error) {
        if (!(error instanceof StartHung) || start >= firstStarts) throw error;
        await this.#lose({ pid: child.pid, how: error.message });
      }
    }
  }

  /** One that is just being started is not good enough any more: another one is started after it. */
  outdate(): void {
    if (this.#isReviving) this.#isOutdated = true;
  }

  /**
   * Another one takes its place, and then it is stopped. When the other one does not start it stays, and this fails. Where it is not
   * `which`, that one has been replaced already.
   */
  replace(stop: StopLimits, which?: Child): Promise<void> {
    return this.#inTurn(which, () => this.#replace(stop));
  }

  /** It is stopped, and then another one takes its place: for what only one can be. */
  restart(stop: StopLimits, which?: Child): Promise<void> {
    return this.#inTurn(which, () => this.#restart(stop));
  }

  /** For good. */
  async stop(stop: StopLimits): Promise<void> {
    this.#closing.abort();
    if (this.#current !== undefined) await this.#end(this.#current, stop);
  }

  #inTurn(which: Child | undefined, change: () => Promise<void>): Promise<void> {
    const turn = this.#changes.then(async () => {
      if (this.#closing.signal.aborted || (which !== undefined && which !== this.#current)) return;
      await change();
    });
    this.#changes = turn.catch(() => undefined);
    return turn;
  }

  async #replace(stop: StopLimits): Promise<void> {
    if (this.#isReviving) return this.outdate();
    const before = this.#current;
    const next = this.#options.start();
    await this.#ready(next);
    // It ended meanwhile, and has a successor that is as new.
    if (this.#closing.signal.aborted || this.#isReviving || this.#current !== before) return next.kill();
    this.#keep(next);
    if (before !== undefined) await this.#end(before, stop);
  }

  async #restart(stop: StopLimits): Promise<void> {
    const before = this.#current;
    if (before === undefined) return;
    await this.#end(before, stop);
    await this.#revive();
  }

  #keep(child: Child): void {
    const { clock, onUp, onBack } = this.#options;
    this.#current = child;
    this.#next.resolve();
    this.#next = Promise.withResolvers();
    const startedAt = clock.now();
    onUp?.(child);
    const ended = new AbortController();
    let silence: string | undefined;
    void untilSilent(child, { clock, signal: AbortSignal.any([ended.signal, this.#closing.signal]) }, () => {
      if (!this.#isLost) return;
      this.#isLost = false;
      onBack?.(child.pid);
    }).then((how) => {
      if (how === undefined) return;
      silence = `${how}, and was killed`;
      child.kill();
    });
    void child.ended.then(async (how) => {
      ended.abort();
      if (this.#current === child) this.#current = undefined;
      if (this.#leaving.has(child) || this.#closing.signal.aborted) return;
      if (clock.now() - startedAt >= soundMs) this.#failures = 0;
      await this.#revive({ pid: child.pid, how: silence ?? how });
    });
  }

  async #revive(lost?: { readonly pid: number; readonly how: string }): Promise<void> {
    this.#isReviving = true;
    try {
      await this.#startUntilUp(lost);
    } finally {
      this.#isReviving = false;
    }
  }

  async #startUntilUp(lost?: { readonly pid: number; readonly how: string }): Promise<void> {
    const { signal } = this.#closing;
    for (let ended = lost; !signal.aborted;) {
      if (ended !== undefined) await this.#lose(ended);
      if (signal.aborted) return;
      this.#isOutdated = false;
      const child = this.#options.start();
      try {
        await this.#ready(child);
        if (!signal.aborted && !this.#isOutdated) return this.#keep(child);
        child.kill();
        ended = undefined;
      } catch (error) {
        ended = { pid: child.pid, how: error instanceof Error ? error.message : String(error) };
      }
    }
  }

  /** Resolves when the next one may be started. */
  async #lose(lost: { readonly pid: number; readonly how: string }): Promise<void> {
    const { clock, onLost } = this.#options;
    const restartMs = this.#failures === 0 ? 0 : Math.min(firstPauseMs * 2 ** (this.#failures - 1), longestPauseMs);
    this.#failures += 1;
    this.#isLost = true;
    onLost({ ...lost, restartMs });
    if (restartMs > 0) await sleepUnlessAborted(clock, restartMs, this.#closing.signal);
  }

  /** Fails with `StartFailure`, and then it is killed. */
  #ready(child: Child): Promise<number> {
    const { signal } = this.#closing;
    const patience = 2 ** Math.min(this.#failures, mostDoublings);
    return untilReady(child, { clock: this.#options.clock, signal, patience });
  }

  async #end(child: Child, { limitMs, lingerMs }: StopLimits): Promise<void> {
    this.#leaving.add(child);
    child.send({ sluice: "stop", limitMs, lingerMs });
    const over = new AbortController();
    const late = this.#options.clock.sleep(limitMs + lingerMs + killAfterMs, over.signal).then(
      () => child.kill(),
      () => undefined,
    );
    await child.ended;
    over.abort();
    await late;
  }
}

export interface StopLimits {
  /** What is under way may take so long. */
  readonly limitMs: number;
  /** Idle connections stay open for so long before, so that a request which is on its way is answered. */
  readonly lingerMs: number;
}
