import type { LookupAddress } from "node:dns";
import { expect, test } from "vitest";
import { createDnsCache } from "./dns-cache.ts";

const first: LookupAddress[] = [
  { address: "2001:db8::1", family: 6 },
  { address: "192.0.2.1", family: 4 },
];
const second: LookupAddress[] = [{ address: "192.0.2.2", family: 4 }];

function setup(): {
  cache: ReturnType<typeof createDnsCache>;
  asked: string[];
  answer: (outcome: LookupAddress[] | Error) => void;
  pass: (ms: number) => void;
} {
  let now = 0;
  let outcome: LookupAddress[] | Error = first;
  const asked: string[] = [];
  const cache = createDnsCache({
    ttlMs: 1000,
    refreshMs: 5000,
    now: () => now,
    async lookup(hostname) {
      asked.push(hostname);
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  });
  return {
    cache,
    asked,
    answer: (next) => {
      outcome = next;
    },
    pass: (ms) => {
      now += ms;
    },
  };
}

test("a fresh answer is given again without asking, both families in the system's order", async () => {
  const { cache, asked, pass } = setup();
  expect(await cache.resolve("a.example")).toEqual(first);
  pass(999);
  expect(await cache.resolve("a.example")).toEqual(first);
  expect(asked).toEqual(["a.example"]);
});

test("simultaneous questions cost one lookup", async () => {
  const { cache, asked } = setup();
  await Promise.all(Array.from({ length: 50 }, () => cache.resolve("a.example")));
  expect(asked).toEqual(["a.example"]);
});

test("an expired answer is given at once while one new lookup runs", async () => {
  const { cache, asked, answer, pass } = setup();
  await cache.resolve("a.example");
  answer(second);
  pass(1000);
  expect(await Promise.all([cache.resolve("a.example"), cache.resolve("a.example")])).toEqual([first, first]);
  expect(asked).toHaveLength(2);
  expect(await cache.resolve("a.example")).toEqual(second);
  expect(asked).toHaveLength(2);
});

test("an old answer is not given before the resolver was asked", async () => {
  const { cache, answer, pass } = setup();
  await cache.resolve("a.example");
  answer(second);
  pass(6000);
  expect(await cache.resolve("a.example")).toEqual(second);
});

test("while the resolver fails, the last good answer stays, and the next good one replaces it", async () => {
  const { cache, answer, pass } = setup();
  await cache.resolve("a.example");
  answer(new Error("EAI_AGAIN"));
  for (const age of [1000, 5000, 1_000_000]) {
    pass(age);
    expect(await cache.resolve("a.example")).toEqual(first);
  }
  answer(second);
  expect(await cache.resolve("a.example")).toEqual(second);
});

test("a failure without an old answer is given to all who ask, and not kept", async () => {
  const { cache, asked, answer } = setup();
  answer(Object.assign(new Error("no such host"), { code: "ENOTFOUND" }));
  const outcomes = await Promise.allSettled([cache.resolve("a.example"), cache.resolve("a.example")]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(asked).toHaveLength(1);
  answer(first);
  expect(await cache.resolve("a.example")).toEqual(first);
});

test("no address at all is a failure", async () => {
  const { cache, answer } = setup();
  answer([]);
  await expect(cache.resolve("a.example")).rejects.toMatchObject({ code: "ENODATA" });
});

test("the system's resolver knows localhost", async () => {
  const addresses = await createDnsCache().resolve("localhost");
  expect(addresses.map(({ address }) => address)).toContain("127.0.0.1");
});
