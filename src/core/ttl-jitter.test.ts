import { expect, test } from "vitest";
import { createTtlJitter } from "./ttl-jitter.ts";

const of = { key: "example.com/m/@v/list", checkedAt: 1_700_000_000_000 };

test("the same thing has the same TTL within a process, however often one asks", () => {
  const jitter = createTtlJitter(0.1, 0.3);
  expect(jitter(60_000, of)).toBe(jitter(60_000, of));
});

test.each([
  ["nodes of a fleet", (index: number) => createTtlJitter(0.1, index / 200)(60_000, of)],
  ["modules", (index: number) => createTtlJitter(0.1, 0.5)(60_000, { ...of, key: `example.com/m${index}/@v/list` })],
  ["times", (index: number) => createTtlJitter(0.1, 0.5)(60_000, { ...of, checkedAt: of.checkedAt + index })],
])("TTLs of many %s spread over ten percent more and less", (_, ttlOf) => {
  const ttls = Array.from({ length: 200 }, (__, index) => ttlOf(index)).toSorted((a, b) => a - b);
  expect(ttls[0]).toBeGreaterThanOrEqual(54_000);
  expect(ttls.at(-1)).toBeLessThanOrEqual(66_000);
  const tenths = ttls.map((ttl) => Math.min(9, Math.floor((ttl - 54_000) / 1200)));
  expect(new Set(tenths).size).toBe(10);
});

test("without a share there is none", () => {
  expect(createTtlJitter(0)(60_000, of)).toBe(60_000);
});
