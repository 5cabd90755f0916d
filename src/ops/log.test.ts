import { expect, test } from "vitest";
import { readableMessage } from "./log.ts";

test.each([
  [
    {
      msg: "request",
      method: "GET",
      path: "/m/@v/list",
      status: 200,
      cache: "hit",
      ms: 0.5,
      source: "https://up.example",
      client: "127.0.0.1",
      id: "a-1",
    },
    "200 GET /m/@v/list hit 0.5 ms from https://up.example for 127.0.0.1 (a-1)",
  ],
  [
    {
      msg: "request",
      method: "GET",
      path: "/m/@v/list",
      status: 502,
      cache: "miss",
      ms: 7,
      client: "::1",
      id: "a-2",
      error: "one\ntwo",
    },
    "502 GET /m/@v/list miss 7 ms for ::1 (a-2)\n    one\n    two",
  ],
  [
    { msg: "upstream attempt failed", upstream: "https://up.example", attempt: 2 },
    "upstream attempt failed upstream=https://up.example attempt=2",
  ],
])("a line for people has what they look for: %o", (facts, expected) => {
  expect(readableMessage({ level: 30, time: 1, ...facts })).toBe(expected);
});
