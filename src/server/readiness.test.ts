import { describe, expect, it } from "vitest";
import type { PartHealth } from "../core/health.ts";
import { formatReadiness, readinessOf } from "./readiness.ts";

const store: PartHealth = { part: "store /data", state: "ok", detail: "can be read and written", isNeeded: true };
const upstream: PartHealth = { part: "upstream https://a.example", state: "down", detail: "refuses", isNeeded: false };

describe("a node", () => {
  it.each([
    ["is ready when all is well", [store], false, undefined],
    ["is ready without an upstream", [store, upstream], false, undefined],
    ["is ready with a needed part that works badly", [{ ...store, state: "degraded" }], false, undefined],
    [
      "is not without a part that it needs",
      [{ ...store, state: "down", detail: "disk full" }],
      false,
      "store /data: disk full",
    ],
    ["is not while it ends", [store], true, "this node is shutting down"],
  ] satisfies [string, PartHealth[], boolean, string | undefined][])("%s", (_name, parts, isDraining, problem) => {
    expect(readinessOf(parts, { isDraining })).toStrictEqual({ isReady: problem === undefined, problem, parts });
  });
});

it("reads as one line for each part", () => {
  expect(formatReadiness(readinessOf([store, upstream], { isDraining: true }))).toBe(
    "[ok] store /data: can be read and written\n" +
      "[down] upstream https://a.example: refuses (not needed to serve what is stored)\n" +
      "not ready: this node is shutting down\n",
  );
});
