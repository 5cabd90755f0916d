import { sleepUnlessAborted } from "../core/clock.ts";
import type { Clock } from "../core/ports.ts";
import type { Child } from "./child.ts";
import type { ConfigSnapshot } from "./control.ts";
import type { Keeper } from "./keeper.ts";

/** On a busy machine. */
const engineStartMs = 20_000;
/** An engine that ends may have been killed. One after the other ends because of what it is told. */
const engines = 3;
/** Where a bucket and a database hang, it takes half a minute. */
const reloadLimitMs = 120_000;

export interface Reload {
  readonly current: ConfigSnapshot;
  /** Who asked the first engine for it, and is gone with that. */
  readonly wantedBy?: number | undefined;
  readonly clock: Clock;
}

/**
 * Has the engine take another configuration, or its successor when it ends before it has answered, or hangs and is killed: nobody would ask again, and what
 * the operator has made private would go on being asked of others. `away`: there is none.
 */
export async function reloadEngine(
  engine: Pick<Keeper, "up">,
  { current, wantedBy, clock }: Reload,
): Promise<"applied" | "refused" | "lost" | "away"> {
  for (let tried = 0; tried < engines; tried += 1) {
    const child = await engine.up(engineStartMs);
    if (child === undefined) return "away";
    const outcome = await reloadChild(child, { current, clock, wantedBy: tried === 0 ? wantedBy : undefined });
    if (outcome !== "lost") return outcome;
  }
  return "lost";
}

async function reloadChild(
  child: Child,
  { current, wantedBy, clock }: Reload,
): Promise<"applied" | "refused" | "lost"> {
  const outcome = Promise.withResolvers<"applied" | "refused" | "lost">();
  const end = child.on((message) => {
    if (message.sluice === "reloaded") outcome.resolve(message.outcome);
  });
  void child.ended.then(() => outcome.resolve("lost"));
  child.send({ sluice: "reload", current, wantedBy });
  const over = new AbortController();
  // It would take the configuration at some time, when the fronts have another one.
  void sleepUnlessAborted(clock, reloadLimitMs, over.signal).then((isLate) => isLate && child.kill());
  try {
    return await outcome.promise;
  } finally {
    over.abort();
    end();
  }
}
