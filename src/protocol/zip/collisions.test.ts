import { expect, test } from "vitest";
import { CollisionChecker } from "./collisions.ts";

function problems(...names: string[]): (string | undefined)[] {
  const checker = new CollisionChecker();
  return names.map((name) => (name.endsWith("/") ? checker.add(name.slice(0, -1), true) : checker.add(name, false)));
}

test("folders may come again, by name or by what is in them", () => {
  expect(problems("a/b/c", "a/", "a/", "a/b/d", "a/b/")).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test.each([
  [["a", "a"], 'multiple entries for file "a"'],
  [["a", "A"], 'case-insensitive file name collision: "a" and "A"'],
  [["a/x", "A/y"], 'case-insensitive file name collision: "a" and "A"'],
  [["b/A/x", "b/a/x"], 'case-insensitive file name collision: "b/A/x" and "b/a/x"'],
  [["B/a/x", "b/c/y"], 'case-insensitive file name collision: "B" and "b"'],
  [["a", "a/b"], 'entry "a" is both a file and a directory'],
  [["a/b", "a"], 'entry "a" is both a file and a directory'],
  [["a/", "a"], 'entry "a" is both a file and a directory'],
  [["a", "a/"], 'entry "a" is both a file and a directory'],
  [["a/b/c", "A/b"], 'case-insensitive file name collision: "a/b" and "A/b"'],
])("%j", (names, problem) => {
  expect(problems(...names).at(-1)).toBe(problem);
});

test("goes on finding problems after the first", () => {
  expect(problems("a", "A/b", "A/c", "a")).toEqual([
    undefined,
    'case-insensitive file name collision: "a" and "A"',
    'case-insensitive file name collision: "a" and "A"',
    'multiple entries for file "a"',
  ]);
});

test("the cost of a deep name is not the square of its length", () => {
  const checker = new CollisionChecker();
  const deep = "d/".repeat(200_000);
  expect(checker.add(`${deep}f`, false)).toBeUndefined();
  expect(checker.add(`${deep}g`, false)).toBeUndefined();
  expect(checker.add(`${deep}F`, false)).toMatch(/^case-insensitive file name collision/);
});
