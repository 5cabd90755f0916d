import { expect, test } from "vitest";
import { scanModulePath } from "./index.ts";

// SPEC §8.1 and §10.6, 53
test.each([
  ["module gopkg.in/check.v1", "gopkg.in/check.v1"],
  ["module \ngopkg.in/check.v1", ""],
  ['module "a"asd', ""],
  ["module  \nmodule a/b/c ", "a/b/c"],
  ["module x.y/z\r\n\r\ngo 1.13\r\n", "x.y/z"],
  ['module "   "', "   "],
  ["module `x.y/z`", "x.y/z"],
  [String.raw`module "x.y\u002fz"`, "x.y/z"],
  [String.raw`module "x.y\400"`, ""],
  ['module "x.y', ""],
  ["module (\n\tx.y/z\n)", "("],
  ["// module a\nmodule b // c", "b"],
  ["module // a\nmodule b", "b"],
  ['module "https://x"', ""],
  ["module\tx.y/z", "x.y/z"],
  ["module\u00a0x.y/z", "x.y/z"],
  ["  \u2003module x.y/z", "x.y/z"],
  ["\ufeffmodule x.y/z", ""],
  ["modulex y", ""],
  ["modules x\nmodule y", "y"],
  ["module x y", "x y"],
  ["require a v1\n}{\nmodule x", "x"],
  ["module a\nmodule b", "a"],
  ["", ""],
  ["go 1.13", ""],
])("scanModulePath(%j) is %j", (text, path) => {
  expect(scanModulePath(text)).toBe(path);
  expect(scanModulePath(Buffer.from(text))).toBe(path);
});
