import { expect, it } from "vitest";
import { nearest } from "./suggest.ts";

const words = ["listen", "base_path", "ttl", "first_byte_timeout", "idle_timeout"];

it.each([
  ["lisen", "listen"],
  ["lsiten", "listen"],
  ["LISTEN", "listen"],
  ["basepath", "base_path"],
  ["tll", "ttl"],
  ["first_byte_timout", "first_byte_timeout"],
])("%s probably means %s", (word, meant) => {
  expect(nearest(word, words)).toBe(meant);
});

it.each(["", "x", "password", "upstream"])("%j means none of them", (word) => {
  expect(nearest(word, words)).toBeUndefined();
});
