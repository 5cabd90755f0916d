import { describe, expect, it, onTestFinished } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import type { FleetMessage, Messages } from "../core/fleet.ts";
import { RateLimit, type RateLimitOptions } from "./rate-limit.ts";

const client = "192.0.2.1";

function limit(changed: Partial<RateLimitOptions> = {}) {
  const clock = createManualClock();
  const limit = new RateLimit({ clock, requestsPerSecond: 10, burst: 3, ...changed });
  onTestFinished(() => limit.close());
  /** How many of so many requests get through. */
  const ask = (times: number, address = client): number =>
    Array.from({ length: times }, () => limit.take(limit.bucketOf(address))).filter((refusal) => refusal === undefined)
      .length;
  return { limit, clock, ask };
}

describe("a client", () => {
  it("has a burst, and then so many requests a second", async () => {
    const { ask, clock } = limit();
    expect(ask(5)).toBe(3);
    await clock.advance(100);
    expect(ask(5)).toBe(1);
    await clock.advance(250);
    expect(ask(5)).toBe(2);
    await clock.advance(60_000);
    expect(ask(5)).toBe(3);
  });

  it("does not spend what others have", () => {
    const { ask } = limit();
    expect([ask(9), ask(9, "192.0.2.2"), ask(9, "2001:db8::1")]).toStrictEqual([3, 3, 3]);
  });

  it("is its network, with IPv6", () => {
    const { ask } = limit();
    expect([ask(2, "2001:db8::1"), ask(2, "2001:db8:0:0:ffff::9"), ask(2, "2001:db8:0:1::1")]).toStrictEqual([2, 1, 2]);
    expect([ask(2, "fe80::1%eth0"), ask(2, "fe80::2%eth0"), ask(2, "::1"), ask(2, "1:2:3:4:5:6:7:8")]).toStrictEqual([
      2, 1, 2, 2,
    ]);
  });

  it("is told how long to wait", () => {
    const { ask, limit: slow } = limit({ requestsPerSecond: 0.2, burst: 1 });
    expect(ask(1)).toBe(1);
    expect(slow.take(slow.bucketOf(client))).toMatchObject({ code: "rate_limited", retryAfterSeconds: 5 });
  });

  it("is forgotten where there are too many", () => {
    const { ask } = limit({ maxClients: 1 });
    expect([ask(3), ask(1, "192.0.2.2"), ask(3)]).toStrictEqual([3, 1, 3]);
  });
});

it("shares one budget between nodes", async () => {
  const hub = new Map<Messages, (message: FleetMessage) => void>();
  const join = (): Messages => {
    const own: Messages = {
      name: "test",
      publish: (message) => hub.forEach((listener, other) => other !== own && listener(message)),
      subscribe: (listener) => {
        hub.set(own, listener);
        return () => void hub.delete(own);
      },
      close: async () => undefined,
    };
    return own;
  };
  const [first, second] = [limit({ messages: join(), burst: 10 }), limit({ messages: join(), burst: 10 })];
  expect(first.ask(8)).toBe(8);
  await first.clock.advance(100);
  // Nobody's time passed here.
  expect(second.ask(10)).toBe(2);
  await second.clock.advance(100);
  // One second's tenth came in, and two were spent elsewhere.
  expect(first.ask(10)).toBe(1);
  first.limit.close();
  expect(hub.size).toBe(1);
});
