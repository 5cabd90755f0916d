import { expect, test } from "vitest";
import { parseRemoteRefs } from "./refs.ts";
import { commitsAhead } from "./tags-ahead.ts";

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
