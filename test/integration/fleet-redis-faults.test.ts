import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Leases, Messages } from "../../src/core/fleet.ts";
import { Secret } from "../../src/core/secret.ts";
import { createRedisLeases } from "../../src/fleet/redis/leases.ts";
import { RedisLink, type RedisLinkOptions } from "../../src/fleet/redis/link.ts";
import { createRedisMessages } from "../../src/fleet/redis/messages.ts";
import { keptOf, listenTo } from "../suites/messages.ts";
import { createAuthority } from "../support/certificates.ts";
import { closedPort, listen } from "../support/loopback.ts";
import { type RecordedEvents, recordEvents } from "../support/recorded-events.ts";
import { lacksRedis, type RedisOptions, type RedisServer, startRedis } from "../support/redis-server.ts";

/** All that a user of Redis needs, as docs/architecture.md has it. */
const acl = "sluice on >hunter2 ~sluice:* &sluice:* +@connection +set +get +del +pexpire +eval +publish +subscribe";

interface Node {
  readonly link: RedisLink;
  readonly messages: Messages;
  readonly leases: Leases;
  readonly events: RecordedEvents;
}

describe.skipIf(lacksRedis())("nodes whose Redis fails", () => {
  let redis: RedisServer;
  let nodes: Node[];

  beforeEach(async () => {
    nodes = [];
    redis = await startRedis();
  });

  afterEach(async () => {
    for (const { link, leases } of nodes) {
      await leases.close();
      await link.close();
    }
    await redis.remove();
  });

  test("go on by themselves when it is killed, say so once, and use it again when it is back", async () => {
    const [one, other] = [await join(), await join()];
    await redis.kill();
    await down(one, other);
    expect(await work(one, "a")).toBe("worked");
    expect(await work(other, "a")).toBe("worked");
    one.messages.publish(keptOf(1));

    await redis.restart();
    await up(one, other);
    const heard = listenTo(other.messages);
    one.messages.publish(keptOf(2));
    expect(await heard.first(1)).toEqual([keptOf(2)]);
    await expectShared(one, other);
    for (const { events } of [one, other]) {
      expect(events.of("redis_state").map(({ isUp }) => isUp)).toEqual([true, false, true]);
    }
    expect(outcomes(one)).toEqual(["alone", "worked"]);
    expect(one.events.of("fleet_message").map(({ direction }) => direction)).toEqual(["dropped", "out"]);
  });

  test("who waits for another node's work does it itself when Redis is killed", async () => {
    const [one, other] = [await join(), await join()];
    const gate = Promise.withResolvers<void>();
    const first = work(one, "a", gate.promise);
    await said(one, "worked");
    const second = work(other, "a");
    await redis.kill();
    expect(await second).toBe("worked");
    gate.resolve();
    expect(await first).toBe("worked");
    expect(outcomes(other)).toEqual(["alone"]);
  });

  test("that hangs costs who is asking it a short time, and nobody after", async () => {
    const [one] = [await join()];
    redis.hang();
    expect(await work(one, "a")).toBe("worked");
    expect(one.link.isUp).toBe(false);
    for (let n = 0; n < 200; n++) {
      one.messages.publish(keptOf(n));
      expect(await work(one, `key ${n}`)).toBe("worked");
    }
    expect(one.link.health).toMatchObject({ state: "down", isNeeded: false });
    redis.resume();
    await up(one);
    expect(one.link.health).toMatchObject({ state: "ok", isNeeded: false });
  });

  test("that hangs is noticed even when nobody asks it", async () => {
    const [one] = [await join()];
    redis.hang();
    await down(one);
    redis.resume();
    await up(one);
    expect(one.events.of("redis_state").map(({ isUp }) => isUp)).toEqual([true, false, true]);
  });

  test("that is not there at the start is used as soon as it is", async () => {
    await redis.kill();
    const [one, other] = [await join(), await join()];
    expect(one.link.isUp).toBe(false);
    expect(await work(one, "a")).toBe("worked");
    await redis.restart();
    await up(one, other);
    await expectShared(one, other);
    expect(one.events.of("redis_state").map(({ isUp }) => isUp)).toEqual([false, true]);
  });

  test("keep a lease that a new Redis knows nothing of", async () => {
    const [one, other] = [await join({}, 600), await join({}, 600)];
    const gate = Promise.withResolvers<void>();
    const first = work(one, "a", gate.promise);
    await said(one, "worked");
    await redis.restart();
    await up(one, other);
    await expect.poll(() => redis.command("EXISTS", "sluice:lease:store:a")).toBe(":1\r\n");
    gate.resolve();
    await first;
    await expect.poll(() => redis.command("EXISTS", "sluice:lease:store:a")).toBe(":0\r\n");
  });

  test("a node that lost its lease goes on, and says so", async () => {
    const [one] = [await join({}, 300)];
    const gate = Promise.withResolvers<void>();
    const first = work(one, "a", gate.promise);
    await said(one, "worked");
    await redis.command("SET", "sluice:lease:store:a", "somebody else");
    await expect
      .poll(() => one.events.of("lease_lost"))
      .toEqual([{ type: "lease_lost", lease: "sluice:lease:store:a" }]);
    gate.resolve();
    expect(await first).toBe("worked");
    expect(await redis.command("GET", "sluice:lease:store:a")).toContain("somebody else");
  });

  test("work that takes longer than others wait is done by them, too", async () => {
    const one = await join();
    const other = await join({}, undefined, 1);
    const gate = Promise.withResolvers<void>();
    const first = work(one, "a", gate.promise);
    await said(one, "worked");
    expect(await work(other, "a")).toBe("worked");
    expect(outcomes(other)).toEqual(["overdue"]);
    gate.resolve();
    await first;
  });

  test("nodes of another store, or another prefix, do not wait for each other", async () => {
    const one = await join();
    const gate = Promise.withResolvers<void>();
    const first = work(one, "a", gate.promise);
    await said(one, "worked");
    const elsewhere = await join({ prefix: "other" });
    expect(await work(elsewhere, "a")).toBe("worked");
    const leases = createRedisLeases(one.link, { clock: systemClock, events: one.events, scope: "b", maxWaitMs: 1e6 });
    expect(await leases.run("a", { look: nothing, work: async () => "worked" })).toBe("worked");
    gate.resolve();
    await first;
  });

  test("what is no message is passed over, whoever published it", async () => {
    const [one] = [await join()];
    const heard = listenTo(one.messages);
    for (const text of [
      "",
      "{",
      "[]",
      '{"from":1,"message":{}}',
      '{"from":"x","message":{"type":"kept"}}',
      "x".repeat(3e6),
    ]) {
      await redis.command("PUBLISH", "sluice:messages", text);
    }
    await redis.command("PUBLISH", "sluice:leases", "{");
    await redis.command("PUBLISH", "sluice:messages", JSON.stringify({ from: "x", message: keptOf(1) }));
    expect(await heard.first(1)).toEqual([keptOf(1)]);
    expect(one.events.of("fleet_message").filter(({ direction }) => direction === "dropped")).toHaveLength(6);
  });

  describe("that refuses", () => {
    test.each<readonly [string, RedisOptions, Partial<RedisLinkOptions>, RegExp]>([
      ["a missing password", { args: ["--requirepass", "hunter2"] }, {}, /NOAUTH|authentication/i],
      [
        "a wrong password",
        { args: ["--requirepass", "hunter2"] },
        { password: new Secret("wrong-hunter") },
        /WRONGPASS/,
      ],
      ["writes, as it is full", { args: ["--maxmemory", "1"] }, {}, /OOM/],
      ["writes, as it is a replica", { args: ["--replicaof", "127.0.0.1", "1"] }, {}, /READONLY/],
      ["scripts", { args: ["--rename-command", "EVAL", ""] }, {}, /unknown command/i],
    ])("%s: is told for what it is, once, and never what the password is", async (_, options, changed, reason) => {
      const refusing = await startRedis(options);
      onTestFinished(() => refusing.remove());
      const one = await join({ url: refusing.url, ...changed });
      expect(one.link.isUp).toBe(false);
      expect(await work(one, "a")).toBe("worked");
      const told = one.events.of("redis_state");
      expect(told).toEqual([
        { type: "redis_state", redis: refusing.url, isUp: false, reason: expect.stringMatching(reason) },
      ]);
      expect(one.link.health.detail).toMatch(reason);
      expect(JSON.stringify([told, one.link.health])).not.toContain("hunter");
    });

    test("a user with a password is let in", async () => {
      const refusing = await startRedis({ args: ["--user", ...acl.split(" ")] });
      onTestFinished(() => refusing.remove());
      const secured = { url: refusing.url, username: "sluice", password: new Secret("hunter2") };
      const [one, other] = [await join(secured), await join(secured)];
      await expectShared(one, other);
      expect(outcomes(one)).toEqual(["worked"]);
    });
  });

  test("TLS: its authority is believed when it is named, and nobody else's", async () => {
    const authority = createAuthority();
    const tls = await startRedis({ tls: authority.issue("IP:127.0.0.1") });
    onTestFinished(() => tls.remove());
    const trusting = { url: tls.url, ca: [authority.cert] };
    await expectShared(await join(trusting), await join(trusting));
    const strange = await join({ url: tls.url, ca: [createAuthority().cert] });
    expect(strange.link.isUp).toBe(false);
    expect(strange.events.of("redis_state")).toMatchObject([
      { isUp: false, reason: expect.stringMatching(/certificate/) },
    ]);
  });

  test("is told once, however often it is tried", async () => {
    const hangingUp = await listen(
      createServer((socket) => void socket.destroy()),
      "redis",
    );
    const one = await join({ url: `redis://127.0.0.1:${hangingUp.port}` });
    await expect.poll(() => hangingUp.connections, { timeout: 10_000 }).toBeGreaterThan(2);
    expect(one.events.of("redis_state").map(({ isUp }) => isUp)).toEqual([false]);
  });

  test("an address where nobody listens is told with the address", async () => {
    const port = await closedPort();
    const one = await join({ url: `redis://127.0.0.1:${port}` });
    expect(one.link.health).toEqual({
      part: `redis redis://127.0.0.1:${port}`,
      state: "down",
      detail: `connect ECONNREFUSED 127.0.0.1:${port}; this node goes on by itself`,
      isNeeded: false,
    });
  });

  async function join(changed: Partial<RedisLinkOptions> = {}, leaseMs = 6_000, maxWaitMs = 60_000): Promise<Node> {
    const events = recordEvents();
    const link = new RedisLink({ url: redis.url, prefix: "sluice", clock: systemClock, events, ...changed });
    const messages = createRedisMessages(link, events);
    const leases = createRedisLeases(link, { clock: systemClock, events, scope: "store", maxWaitMs, leaseMs });
    const node = { link, messages, leases, events };
    nodes.push(node);
    await link.tried;
    return node;
  }
});

/** Work that nobody finds. */
function work({ leases }: Node, key: string, gate: Promise<void> = Promise.resolve()): Promise<string> {
  return leases.run(key, { look: nothing, work: () => gate.then(() => "worked") });
}

/** The second of two nodes finds what the first one has done. */
async function expectShared(one: Node, other: Node): Promise<void> {
  const gate = Promise.withResolvers<void>();
  let done: string | undefined;
  const first = one.leases.run("shared", { look: nothing, work: () => gate.promise.then(() => (done = "by one")) });
  await said(one, "worked");
  const looked = Promise.withResolvers<void>();
  const look = async (): Promise<string | undefined> => {
    looked.resolve();
    return done;
  };
  const second = other.leases.run("shared", { look, work: async () => "by other" });
  await looked.promise;
  gate.resolve();
  expect(await Promise.all([first, second])).toEqual(["by one", "by one"]);
}

async function nothing(): Promise<undefined> {}

function outcomes({ events }: Node): string[] {
  return events.of("lease").map(({ outcome }) => outcome);
}

async function said(node: Node, outcome: string): Promise<void> {
  await expect.poll(() => outcomes(node)).toContain(outcome);
}

async function up(...nodes: readonly Node[]): Promise<void> {
  for (const { link } of nodes) await expect.poll(() => link.isUp, { timeout: 20_000 }).toBe(true);
}

async function down(...nodes: readonly Node[]): Promise<void> {
  for (const { link } of nodes) await expect.poll(() => link.isUp, { timeout: 20_000 }).toBe(false);
}
