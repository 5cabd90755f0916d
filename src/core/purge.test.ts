import { describe, expect, it } from "vitest";
import { parseRequest } from "../protocol/goproxy/index.ts";
import type { PurgeSelection } from "./fleet.ts";
import { foldersOf, PurgeTimes, selectKeys } from "./purge.ts";

const list = "example.com/!team/m/@v/list";
const branch = "example.com/!team/m/@v/main.info";
const other = "example.com/other/@v/list";

const selections: readonly (readonly [PurgeSelection, readonly string[]])[] = [
  [{ keys: [branch] }, [branch]],
  [{ module: "example.com/Team/m" }, [list, branch]],
  [{ module: "example.com/Team" }, []],
  [{ pattern: "example.com/Team" }, [list, branch]],
  [{ pattern: "example.com/T*,corp.example" }, [list, branch]],
  [{ pattern: "*.com" }, [list, branch, other]],
  [{ pattern: "[" }, []],
];

describe("a selection", () => {
  it.each(selections)("%j is about its keys and no others", (selection, keys) => {
    expect([list, branch, other].filter(selectKeys(selection))).toStrictEqual(keys);
  });

  it.each(selections)("%j is noted for the same", (selection, keys) => {
    const times = new PurgeTimes();
    times.note(selection, 5);
    const noted = [list, branch, other].filter((key) => times.last(parseRequest(`/${key}`)) === 5);
    expect(noted).toStrictEqual(keys);
  });
});

describe("the time of the last purge", () => {
  const request = parseRequest(`/${list}`);

  it("is the latest of all that are about it", () => {
    const times = new PurgeTimes();
    expect(times.last(request)).toBe(0);
    times.note({ keys: [list] }, 1);
    times.note({ module: "example.com/Team/m" }, 2);
    times.note({ pattern: "example.com" }, 3);
    expect(times.last(request)).toBe(3);
    times.note({ keys: [list] }, 4);
    expect(times.last(request)).toBe(4);
  });

  it.each([
    ["modules", { module: "a.example/m" }, { module: "b.example/m" }],
    ["patterns", { pattern: "a.example" }, { pattern: "b.example" }],
    ["keys", { keys: ["a.example/m/@latest"] }, { keys: ["b.example/m/@latest"] }],
  ] satisfies [string, PurgeSelection, PurgeSelection][])(
    "counts for everything where too many %s were purged since",
    (_what, first, second) => {
      const times = new PurgeTimes({ maxNames: 1, maxPatterns: 1 });
      times.note(first, 7);
      expect(times.last(request)).toBe(0);
      times.note(second, 8);
      expect(times.last(request)).toBe(7);
    },
  );
});

it.each([
  [{ keys: [list, branch, other] }, ["example.com/!team/m", "example.com/other"]],
  [{ module: "example.com/Team/m" }, ["example.com/!team/m"]],
  [
    { pattern: "example.com/Team/*,*.corp,example.com/a[bc]/d,x.example/" },
    ["example.com/!team", "", "example.com", "x.example"],
  ],
] satisfies [PurgeSelection, string[]][])("%j stands below %j", (selection, folders) => {
  expect(foldersOf(selection)).toStrictEqual(folders);
});
