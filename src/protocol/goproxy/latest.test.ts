import { describe, expect, test } from "vitest";
import type { Version } from "../brand.ts";
import { parseModulePath, parseVersion } from "../module/index.ts";
import { type LatestStep, isRetracted, newestTimed, nextLatestStep, parseList } from "./index.ts";

const own = "module x.y/z\n\ngo 1.24\n";
const madeUp = "module x.y/z\n";
const older = "v0.0.0-20200101000000-aaaaaaaaaaaa";
const newer = "v0.0.0-20210101000000-bbbbbbbbbbbb";

/** Runs the steps as core does, with a go.mod for whatever is asked, and tells which were. */
function run(
  list: string,
  goMods: Record<string, string | undefined> = {},
  path = "x.y/z",
): { asked: string[]; step: LatestStep } {
  const modulePath = parseModulePath(path);
  const known = new Map<Version, string | undefined>();
  const asked: string[] = [];
  let step = nextLatestStep(modulePath, parseList(list), known);
  while (step.kind === "read_go_mod") {
    expect(known.has(step.version)).toBe(false);
    asked.push(`${step.version} ${step.purpose}`);
    known.set(step.version, step.version in goMods ? goMods[step.version] : own);
    step = nextLatestStep(modulePath, parseList(list), known);
  }
  return { asked, step };
}

function lines(...versions: string[]): string {
  return versions.join("\n");
}

describe("nextLatestStep selects", () => {
  test.each<[string, string, string, Record<string, string | undefined>?]>([
    ["the highest release", lines("v1.9.0", "v1.10.0", "v1.11.0-rc.1"), "v1.10.0"],
    ["the highest pre-release when there is no release", lines("v1.0.0-alpha", "v1.0.0-beta"), "v1.0.0-beta"],
    ["the newest pseudo-version when nothing is tagged", lines(newer, older), newer],
    ["a tag before any pseudo-version", lines("v0.0.1-rc", newer), "v0.0.1-rc"],
    ["not the retracted", lines("v1.0.0", "v1.1.0"), "v1.0.0", { "v1.1.0": `${own}retract v1.1.0\n` }],
    [
      "not the retracted interval, nor the version that retracts itself with it",
      lines("v1.0.0", "v1.1.0", "v1.2.0", "v1.2.1"),
      "v1.0.0",
      { "v1.2.1": `${own}retract (\n\tv1.2.1\n\t[v1.1.0, v1.2.0] // broken\n)\n` },
    ],
    [
      "a pre-release when all releases are retracted",
      lines("v1.0.0", "v1.1.0-rc"),
      "v1.1.0-rc",
      { "v1.0.0": `${own}retract v1.0.0\n` },
    ],
    [
      "the newest pseudo-version when all tags are retracted",
      lines("v0.1.0", newer),
      newer,
      { "v0.1.0": "retract v0.1.0\n" },
    ],
    [
      "by what is not retracted if the go.mod cannot be read",
      lines("v1.0.0", "v1.1.0"),
      "v1.1.0",
      { "v1.1.0": undefined },
    ],
    [
      "by what is not retracted if the go.mod cannot be parsed",
      lines("v1.0.0", "v1.1.0"),
      "v1.1.0",
      { "v1.1.0": "retract (\nv1.1.0" },
    ],
    ["compatible versions over incompatible ones", lines("v1.0.0", "v2.0.0+incompatible"), "v1.0.0"],
    [
      "even a compatible pre-release over an incompatible release",
      lines("v1.0.0-rc", "v2.0.0+incompatible"),
      "v1.0.0-rc",
      { "v1.0.0-rc": own },
    ],
    [
      "incompatible ones when the last compatible one has no go.mod",
      lines("v1.0.0", "v2.0.0+incompatible", "v3.0.0+incompatible"),
      "v3.0.0+incompatible",
      { "v1.0.0": madeUp, "v3.0.0+incompatible": madeUp },
    ],
    ["incompatible ones when there are no others", lines("v2.0.0+incompatible"), "v2.0.0+incompatible"],
    [
      "by the last compatible version that is not retracted",
      lines("v1.0.0", "v1.1.0", "v2.0.0+incompatible"),
      "v2.0.0+incompatible",
      { "v1.0.0": madeUp, "v1.1.0": `${own}retract v1.1.0\n` },
    ],
    ["what is of the path's major version", lines("v1.0.0", "v2.0.0", "v3.0.0"), "v1.0.0"],
  ])("%s", (_, list, version, goMods) => {
    expect(run(list, goMods).step).toEqual({ kind: "selected", version });
  });

  test("within a major version suffix", () => {
    expect(run(lines("v1.0.0", "v2.1.0", "v3.0.0"), {}, "x.y/z/v2").step).toEqual({
      kind: "selected",
      version: "v2.1.0",
    });
  });
});

describe("nextLatestStep finds none", () => {
  const none = { kind: "none", reason: 'no matching versions for query "latest"' };

  test.each<[string, string, Record<string, string>?]>([
    ["in an empty list", ""],
    ["of other major versions", lines("v2.0.0", "v3.0.0")],
    ["when all are retracted", lines("v1.0.0", "v1.1.0"), { "v1.1.0": `${own}retract [v0.0.0, v1.1.0]\n` }],
    ["when the newest pseudo-version retracts itself", lines(older, newer), { [newer]: `${own}retract ${newer}\n` }],
  ])("%s", (_, list, goMods) => {
    expect(run(list, goMods).step).toEqual(none);
  });
});

describe("nextLatestStep asks", () => {
  test.each<[string, string, string[], Record<string, string>?]>([
    ["for nothing when there is nothing", "", []],
    ["for the go.mod of the highest", lines("v1.0.0", "v1.1.0"), ["v1.1.0 retractions"]],
    ["only once for the same", lines("v1.0.0", "v2.0.0+incompatible"), ["v1.0.0 incompatible"]],
    [
      "at most for three",
      lines("v1.0.0", "v1.1.0", "v2.0.0+incompatible"),
      ["v1.1.0 incompatible", "v2.0.0+incompatible retractions", "v1.0.0 incompatible"],
      { "v1.1.0": madeUp, "v2.0.0+incompatible": "retract v1.1.0\n" },
    ],
  ])("%s", (_, list, asked, goMods) => {
    expect(run(list, goMods).asked).toEqual(asked);
  });
});

test("newestTimed takes the first of the greatest time, whatever its version", () => {
  const list = parseList("v1.2.0 2020-01-01T00:00:00Z\nv1.0.0 2021-01-01T00:00:00Z\nv1.1.0 2021-01-01T00:00:00Z\n");
  expect(newestTimed(list)).toBe("v1.0.0");
  expect(newestTimed(parseList(""))).toBeUndefined();
});

test.each([
  ["v1.0.0", "v1.0.0", true],
  ["v1", "v1", true],
  ["v0.9.0", "v1.1.0", true],
  ["bogus", "v1.0.0", true],
  ["v1.0.1", "v1.1.0", false],
  ["v0.9.0", "v1.0.0-rc", false],
])("isRetracted by [%s, %s]: %s", (low, high, expected) => {
  expect(isRetracted(parseVersion("v1.0.0"), [{ low, high, rationale: "" }])).toBe(expected);
});
