import { describe, expect, test } from "vitest";
import { parseRemoteRefs } from "./refs.ts";
import { commitsAhead, TagsAhead } from "./tags-ahead.ts";

const hashes = ["a", "b", "c", "d", "e", "f"].map((digit) => digit.repeat(40));
const [a = "", b = "", c = "", d = "", e = "", f = ""] = hashes;

const refs = parseRemoteRefs(
  [
    `${f}\tHEAD`,
    `${f}\trefs/heads/v9.0.0`,
    `${a}\trefs/tags/v1.2.0`,
    `${b}\trefs/tags/v1.10.0`,
    `${c}\trefs/tags/sub/v1.0.0`,
    `${d}\trefs/tags/sub/v2.0.0`,
    `${d}\trefs/tags/v0.1.0`,
    `${e}\trefs/tags/release`,
  ].join("\n"),
  0,
);

test.each([
  ["the newest versions of the module that was asked for are first", ["refs/tags/sub/v1.0.0"], [d, c, b, a]],
  ["and of the root as well", ["refs/tags/v1.2.0"], [b, a, d, c]],
  ["the one behind the wanted is second", ["refs/tags/v0.1.0"], [b, a, d, c]],
  ["a branch tells nothing of modules", ["refs/heads/v9.0.0", "HEAD"], [d, b, a, c]],
])("%s", (_, wanted, expected) => {
  expect(commitsAhead(refs, wanted)).toEqual(expected);
});

describe("commits to be fetched ahead", () => {
  const mib = 1024 * 1024;
  const moved = parseRemoteRefs(`${a}\trefs/tags/v1.2.0\n${f}\trefs/tags/v1.3.0`, 1);

  function wanted(): TagsAhead {
    const ahead = new TagsAhead();
    ahead.want("refs/tags/v1.2.0");
    return ahead;
  }

  test("are none before anybody asked for one", () => {
    expect(new TagsAhead().candidates(refs, 1)).toEqual([]);
    expect(wanted().candidates(refs, 1)).toEqual([b, a, d, c]);
  });

  test("are fetched once, even where they turn out to be no commits", () => {
    const ahead = wanted();
    expect(ahead.candidates(refs, 1)).toEqual([b, a, d, c]);
    ahead.fetched([b, a], 2);
    expect(ahead.candidates(refs, 1)).toEqual([d, c]);
    ahead.fetched([d, c], 2);
    expect(ahead.candidates(refs, 1)).toEqual([]);
    expect(ahead.candidates(moved, 1)).toEqual([f, a]);
  });

  test("follow what was asked for last", () => {
    const ahead = wanted();
    expect(ahead.candidates(refs, 1)).toEqual([b, a, d, c]);
    ahead.want("refs/tags/sub/v1.0.0");
    expect(ahead.candidates(refs, 1)).toEqual([d, b, a, c]);
  });

  test("are none any more until a tag changes when the host does not give them, or they become too much", () => {
    const refused = wanted();
    refused.candidates(refs, 1);
    refused.giveUp();
    const pushed = parseRemoteRefs(
      [...refs.byName].map(([name, hash]) => `${hash === f ? e : hash}\t${name}`).join("\n"),
      1,
    );
    const large = wanted();
    large.candidates(refs, 40 * mib);
    large.fetched([b], 40 * mib);
    for (const ahead of [refused, large]) {
      expect(ahead.candidates(refs, 40 * mib)).toEqual([]);
      expect(ahead.candidates(pushed, 40 * mib)).toEqual([]);
      expect(ahead.candidates(moved, 40 * mib)).toEqual([f, a]);
    }
    expect(wanted().candidates(refs, 65 * mib)).toEqual([]);
    expect(wanted().candidates(refs, Number.POSITIVE_INFINITY)).toEqual([]);
  });

  test.each([
    [10_000, 104],
    [400_000, 2],
    [20 * mib, 1],
    [0, 1_048_576],
  ])("of %i bytes each are fetched together so many: %i", (bytes, count) => {
    expect(wanted().atOnce(bytes)).toBe(count);
  });
});
