import { expect, test } from "vitest";
import { checkPathMajor, matchesPathMajor, pathMajorPrefix, splitPathVersion } from "./index.ts";

test.each([
  { path: "x.y/z", prefix: "x.y/z", major: "" },
  { path: "x.y/z/v2", prefix: "x.y/z", major: "/v2" },
  { path: "x.y/z/v10", prefix: "x.y/z", major: "/v10" },
  { path: "x.y/v", prefix: "x.y/v", major: "" },
  { path: "x.y/zv2", prefix: "x.y/zv2", major: "" },
  { path: "x.y/z2.3", prefix: "x.y/z2.3", major: "" },
  { path: "gopkg.in/yaml.v0", prefix: "gopkg.in/yaml", major: ".v0" },
  { path: "gopkg.in/yaml.v2", prefix: "gopkg.in/yaml", major: ".v2" },
  { path: "gopkg.in/user/yaml.v2-unstable", prefix: "gopkg.in/user/yaml", major: ".v2-unstable" },
])("$path is $prefix and $major", ({ path, prefix, major }) => {
  expect(splitPathVersion(path)).toEqual({ prefix, major });
});

test.each([
  "x.y/z/v0",
  "x.y/z/v1",
  "x.y/z/v01",
  "x.y/z/v2.0",
  "x.y/z/v2.",
  "gopkg.in/yaml",
  "gopkg.in/yaml.v",
  "gopkg.in/yaml.v02",
  "gopkg.in/yaml.v0-unstable",
  "gopkg.in/yaml/v2",
])("%s ends in no valid major suffix", (path) => {
  expect(splitPathVersion(path)).toBeUndefined();
});

test.each([
  ["", ""],
  ["/v2", "v2"],
  [".v2", "v2"],
  [".v2-unstable", "v2"],
])("the suffix %j stands for %j", (suffix, prefix) => {
  expect(pathMajorPrefix(suffix)).toBe(prefix);
});

test("a gopkg.in path that is unstable without a number is split as x/mod does, and no version fits it", () => {
  expect(splitPathVersion("gopkg.in/yaml.v-unstable")).toEqual({ prefix: "gopkg.in/yaml", major: ".v-unstable" });
  expect(matchesPathMajor("v1.0.0", ".v-unstable")).toBe(false);
});

test.each(["v2", "/v2.0", "-v2", "/v02", "/v2-unstable", ".v-unstable"])("%j is no major suffix", (suffix) => {
  expect(() => pathMajorPrefix(suffix)).toThrow(expect.objectContaining({ code: "malformed_path" }));
});

test.each([
  { version: "v0.1.0", major: "" },
  { version: "v1.2.3", major: "" },
  { version: "v17.0.0+incompatible", major: "" },
  { version: "v2.1.5", major: "/v2" },
  { version: "v2.1.5", major: ".v2-unstable" },
  { version: "v0.0.0-20160102150405-abcdef123456", major: ".v1" },
])("$version fits the suffix '$major'", ({ version, major }) => {
  checkPathMajor(version, major);
  expect(matchesPathMajor(version, major)).toBe(true);
});

test.each([
  { version: "v2.0.0", major: "", reason: "should be v0 or v1, not v2" },
  { version: "v2.0.0+meta", major: "", reason: "should be v0 or v1, not v2" },
  { version: "v1.0.0", major: "/v2", reason: "should be v2, not v1" },
  { version: "v20.0.0", major: "/v2", reason: "should be v2, not v20" },
  { version: "v0.0.0", major: ".v1", reason: "should be v1, not v0" },
  { version: "v0.0.0-20160102150405-abcdef123456", major: ".v2", reason: "should be v2, not v0" },
  { version: "v1.0.0", major: ".v2-unstable", reason: "should be v2, not v1" },
  { version: "bad", major: "", reason: "should be v0 or v1, not " },
])("$version does not fit the suffix '$major'", ({ version, major, reason }) => {
  expect(matchesPathMajor(version, major)).toBe(false);
  expect(() => checkPathMajor(version, major)).toThrow(
    expect.objectContaining({ code: "malformed_version", message: `version "${version}" invalid: ${reason}` }),
  );
});
