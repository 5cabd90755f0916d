import { afterAll, beforeAll, describe } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { createRedisLeases } from "../../src/fleet/redis/leases.ts";
import { RedisLink } from "../../src/fleet/redis/link.ts";
import { createRedisMessages } from "../../src/fleet/redis/messages.ts";
import { leasesSuite } from "../suites/leases.ts";
import { messagesSuite } from "../suites/messages.ts";
import { lacksRedis, type RedisServer, startRedis } from "../support/redis-server.ts";

const events = { emit: () => undefined };
let count = 0;

describe.skipIf(lacksRedis())("a fleet on a real Redis", () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterAll(async () => {
    await redis.remove();
  });

  messagesSuite("nodes on one Redis", async () => {
    const links = openLinks();
    return {
      join: () => links.open((link) => createRedisMessages(link, events)),
      remove: () => links.close(),
    };
  });

  leasesSuite("nodes on one Redis", async () => {
    const links = openLinks();
    return {
      join: () =>
        links.open((link) =>
          createRedisLeases(link, { clock: systemClock, events, scope: "store", maxWaitMs: 30_000 }),
        ),
      remove: () => links.close(),
    };
  });

  /** Of one test, with a prefix of its own. */
  function openLinks() {
    const prefix = `test${(count += 1)}`;
    const links: RedisLink[] = [];
    return {
      async open<T>(use: (link: RedisLink) => T): Promise<T> {
        const link = new RedisLink({ url: redis.url, prefix, clock: systemClock, events });
        links.push(link);
        const used = use(link);
        await link.tried;
        return used;
      },
      async close() {
        for (const link of links) await link.close();
      },
    };
  }
});
