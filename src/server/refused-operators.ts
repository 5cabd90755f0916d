import type { Events } from "../core/events.ts";
import type { Clock } from "../core/ports.ts";

/** Whoever guesses does so often. */
const tellEveryMs = 10_000;

/** Tells of requests below `/-/` that showed no good token: the first one at once, then one in a while with how many there were. */
export function createRefusedOperators({
  events,
  clock,
}: {
  readonly events: Events;
  readonly clock: Clock;
}): (client: string, shown: "no token" | "a wrong token") => void {
  let toldAt = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (client, shown) => {
    untold += 1;
    const isNews = clock.now() - toldAt >= tellEveryMs;
    events.emit({ type: "operator_refused", client, shown, count: untold, isNews });
    if (!isNews) return;
    toldAt = clock.now();
    untold = 0;
  };
}
