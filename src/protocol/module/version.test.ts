import { expect, test } from "vitest";
import { canonicalVersion, checkModuleVersion, parseVersion } from "./index.ts";

test.each([
  ["v1", "v1.0.0"],
  ["v1.2.3+meta", "v1.2.3"],
  ["v2.0.0+incompatible", "v2.0.0+incompatible"],
  ["v2.0.0-pre+incompatible", "v2.0.0-pre+incompatible"],
  ["v2.0.0+incompatible.1", "v2.0.0"],
  ["v2+incompatible", undefined],
  ["master", undefined],
])("the canonical version of %s is %s", (text, version) => {
  expect(canonicalVersion(text)).toBe(version);
});

test.each(["v1.2.3", "v2.0.0+incompatible", "v0.0.0-20160102150405-abcdef123456", "v1.0.0-A"])(
  "%s is canonical",
  (text) => {
    expect(parseVersion(text)).toBe(text);
  },
);

test.each([
  ["v1", `not canonical, should be "v1.0.0"`],
  ["v1.2.3+meta", `not canonical, should be "v1.2.3"`],
  ["master", "not a semantic version"],
  ["", "not a semantic version"],
])("%j is refused where a canonical version must stand", (text, reason) => {
  expect(() => parseVersion(text)).toThrow(
    expect.objectContaining({ code: "malformed_version", message: `version "${text}" invalid: ${reason}` }),
  );
});

// SPEC §10.1, 6
test.each([
  ["github.com/go-yaml/yaml/v2", "v2.1.5"],
  ["gopkg.in/yaml.v0", "v0.8.0"],
  ["gopkg.in/check.v1", "v0.0.0-20160102150405-abcdef123456"],
  ["rsc.io/quote", "v17.0.0+incompatible"],
  ["rsc.io/quote", "v1"],
])("%s may have the version %s", (path, version) => {
  expect(() => checkModuleVersion(path, version)).not.toThrow();
});

test.each([
  ["github.com/go-yaml/yaml", "v2.0.0", "should be v0 or v1, not v2"],
  ["gopkg.in/yaml.v0", "v1.0.0", "should be v0, not v1"],
  ["gopkg.in/check.v1", "v0.0.0", "should be v1, not v0"],
  ["rsc.io/quote", "v17.0.0", "should be v0 or v1, not v17"],
  ["rsc.io/quote", "0.1.0", "not a semantic version"],
])("%s cannot have the version %s", (path, version, reason) => {
  expect(() => checkModuleVersion(path, version)).toThrow(
    expect.objectContaining({ code: "malformed_version", message: `${path}@${version}: invalid version: ${reason}` }),
  );
});

test("a malformed path is reported before its version", () => {
  expect(() => checkModuleVersion("quote", "bad")).toThrow(expect.objectContaining({ code: "malformed_path" }));
});
