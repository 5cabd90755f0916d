import { expect, test } from "vitest";
import { build, canonical, isValid, major, majorMinor, prerelease } from "./index.ts";

// SPEC §10.2, 8
test.each([
  ["v1", "v1.0.0"],
  ["v1.2", "v1.2.0"],
  ["v1.2.3", "v1.2.3"],
  ["v1.2.3+meta", "v1.2.3"],
  ["v1.2.3-pre", "v1.2.3-pre"],
  ["v1.2.3-pre+meta", "v1.2.3-pre"],
  ["v2.0.0+incompatible", "v2.0.0"],
  ["v1.0.0-0a", "v1.0.0-0a"],
  ["v1.0.0--", "v1.0.0--"],
  ["v1.0.0+01", "v1.0.0"],
  [`v${"9".repeat(400)}`, `v${"9".repeat(400)}.0.0`],
])("%s has the canonical form %s", (version, expected) => {
  expect(canonical(version)).toBe(expected);
});

test.each([
  "",
  "v",
  "1.2.3",
  "V1.2.3",
  "v1-pre",
  "v1.2-pre",
  "v1+meta",
  "v1.2+meta",
  "v1.",
  "v1.2.",
  "v1..3",
  "v01.2.3",
  "v1.02.3",
  "v1.2.03",
  "v1.2.3.4",
  "v1.2.3-",
  "v1.2.3-a..b",
  "v1.2.3-.a",
  "v1.2.3-a.",
  "v1.2.3-01",
  "v1.2.3-a.00",
  "v1.2.3-é",
  "v1.2.3+",
  "v1.2.3+a..b",
  "v1.2.3+a+b",
  "v1.2.3-a/b",
  "v1.2.3 ",
  "v１",
])("%j is invalid", (version) => {
  expect([isValid(version), canonical(version), major(version), majorMinor(version)]).toEqual([
    false,
    undefined,
    undefined,
    undefined,
  ]);
  expect(prerelease(version) + build(version)).toBe("");
});

test.each([
  { version: "v2.1.0-pre.1+meta.2", parts: ["v2", "v2.1", "-pre.1", "+meta.2"] },
  { version: "v2.1.0+meta", parts: ["v2", "v2.1", "", "+meta"] },
  { version: "v2.1.0", parts: ["v2", "v2.1", "", ""] },
  { version: "v10", parts: ["v10", "v10.0", "", ""] },
  { version: "v10.20", parts: ["v10", "v10.20", "", ""] },
])("$version comes apart into $parts", ({ version, parts }) => {
  expect([major(version), majorMinor(version), prerelease(version), build(version)]).toEqual(parts);
});
