import { expect, test } from "vitest";
import { parseRemoteRefs } from "./refs.ts";

const one = "1".repeat(40);
const two = "2".repeat(40);

test("of an annotated tag the commit counts; what is no branch or tag is left out", () => {
  const refs = parseRemoteRefs(
    `${one}\tHEAD\n${one}\trefs/heads/main\n${two}\trefs/pull/1/head\n${two}\trefs/tags/v1.0.0\n${one}\trefs/tags/v1.0.0^{}\n${one}\trefs/tags/V1\n`,
    7,
  );
  expect([...refs.byName]).toEqual([
    ["HEAD", one],
    ["refs/heads/main", one],
    ["refs/tags/V1", one],
    ["refs/tags/v1.0.0", one],
  ]);
  expect(refs.tagsAt(one)).toEqual(["V1", "v1.0.0"]);
  expect(refs.tagsAt(two)).toEqual([]);
  expect(refs.askedAt).toBe(7);
});

test("the sum tells whether anything changed", () => {
  const sum = (text: string): string => parseRemoteRefs(text, 0).sum;
  expect(sum(`${one}\tHEAD\n${one}\trefs/heads/a\n`)).toBe(sum(`${one}\trefs/heads/a\n${one}\tHEAD\n`));
  expect(sum(`${one}\tHEAD\n`)).not.toBe(sum(`${two}\tHEAD\n`));
});

test.each([
  "refs/heads/a:refs/heads/b",
  "refs/heads/*",
  "refs/tags/a b",
  "refs/tags/a..b",
  "refs/tags/a^b",
  "refs/tags/a\u0001",
  "--upload-pack=x",
])("a ref that no git makes is not taken: %s", (name) => {
  expect([...parseRemoteRefs(`${one}\t${name}\n`, 0).byName]).toEqual([]);
});

test("text that is no hash is not taken", () => {
  expect([...parseRemoteRefs(`warning: x\tHEAD\n${one.slice(1)}\tHEAD\n`, 0).byName]).toEqual([]);
});
