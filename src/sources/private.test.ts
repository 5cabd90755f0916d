import { expect, test } from "vitest";
import { parseModulePath } from "../protocol/module/index.ts";
import { createPrivateRules } from "./private.ts";

test.each([
  ["", "corp.example/m", false],
  ["none", "corp.example/m", false],
  ["corp.example", "corp.example/m", true],
  ["corp.example", "corp.example/a/b/c", true],
  ["corp.example", "corp.example.org/m", false],
  ["*.corp.example", "git.corp.example/m", true],
  ["*.corp.example", "corp.example/m", false],
  ["example.com/team", "example.com/team-b/m", false],
  // What stands above a pattern is part of a private name.
  ["example.com/team/*", "example.com/team", true],
  ["example.com/team/*", "example.com", true],
  ["example.com/team/sub", "example.com/team", true],
  ["example.com/t*/sub", "example.com/team", false],
  ["example.com/team/*", "example.com/other", false],
  ["*.corp.example/team/*", "git.corp.example/team", true],
  ["*.corp.example/team/*", "git.corp.example", true],
  ["*.corp.example/team/*", "git.corp.example/other", false],
  ["*/*/secret", "example.com/team", false],
  ["example.com/team/*", "example.com/team/m/v2", true],
  ["example.com/Team", "example.com/team/m", false],
  ["a.example,b.example/", "b.example/m", true],
  // Blanks are not trimmed (SPEC §1.7), and a malformed pattern matches nothing.
  ["a.example, b.example", "b.example/m", false],
  ["[,b.example", "b.example/m", true],
])("%j matches %s: %s", (patterns, modulePath, expected) => {
  expect(createPrivateRules(patterns).matches(parseModulePath(modulePath))).toBe(expected);
});
