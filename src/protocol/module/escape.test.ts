import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapePath, escapeVersion, parseModulePath, unescapePath, unescapeVersion } from "./index.ts";

// SPEC §10.1, 4
test.each([
  ["github.com/GoogleCloudPlatform/omega", "github.com/!google!cloud!platform/omega"],
  ["github.com/Azure/go-autorest/v14", "github.com/!azure/go-autorest/v14"],
  ["example.com/ABC", "example.com/!a!b!c"],
  ["rsc.io/quote", "rsc.io/quote"],
])("%s is escaped as %s and back", (path, escaped) => {
  expect(escapePath(parseModulePath(path))).toBe(escaped);
  expect(unescapePath(escaped)).toBe(path);
});

test.each([
  ["github.com/GoogleCloudPlatform/omega", ""],
  ["github.com/!google!cloud!platform!/omega", ""],
  ["github.com/!0google", ""],
  ["github.com/!_google", ""],
  ["github.com/!!google", ""],
  ["github.com/google!", ""],
  ["github.com/é", ""],
  ["", `: malformed module path "": empty string`],
  ["!x.y/z", `: malformed module path "X.y/z": invalid char 'X' in first path element`],
  ["x.y/v1", `: malformed module path "x.y/v1": invalid version`],
])("%j is no escaped module path", (escaped, reason) => {
  expect(() => unescapePath(escaped)).toThrow(
    expect.objectContaining({ code: "malformed_path", message: `invalid escaped module path "${escaped}"${reason}` }),
  );
});

test.each([
  ["v1.0.0-RC1", "v1.0.0-!r!c1"],
  ["v2.0.0+incompatible", "v2.0.0+incompatible"],
  ["Feature@~1", "!feature@~1"],
  ["master", "master"],
])("the version %s is escaped as %s and back", (version, escaped) => {
  expect(escapeVersion(version)).toBe(escaped);
  expect(unescapeVersion(escaped)).toBe(version);
});

test.each(["", ".", "a/b", "a!b", "é", "nul.x", "v1.0.0*", "x."])("%j cannot be escaped as a version", (version) => {
  expect(() => escapeVersion(version)).toThrow(
    expect.objectContaining({
      code: "malformed_version",
      message: `version "${version}" invalid: disallowed version string`,
    }),
  );
});

test.each([
  ["v1.0.0-RC1", `invalid escaped version "v1.0.0-RC1"`],
  ["a!", `invalid escaped version "a!"`],
  ["é", `invalid escaped version "é"`],
  ["", `invalid escaped version "": empty path element`],
  ["!a/b", `invalid escaped version "A/b": invalid char '/'`],
  ["..", `invalid escaped version "..": invalid path element ".."`],
])("%j is no escaped version", (escaped, message) => {
  expect(() => unescapeVersion(escaped)).toThrow(expect.objectContaining({ code: "malformed_version", message }));
});

describe("for any text", () => {
  const modulePath = fc
    .tuple(
      fc.stringMatching(/^[a-z0-9]{1,5}\.[a-z]{2,3}$/),
      fc.array(fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{4,8}$/), { maxLength: 4 }),
    )
    .map(([host, elements]) => parseModulePath([host, ...elements].join("/")));
  const version = fc.stringMatching(/^v[0-9]\.[0-9]\.[0-9]-[0-9A-Za-z.-]{0,12}[0-9A-Za-z]$/);

  test("a path survives escaping, and no uppercase letter stands in what case-blind file systems see", () => {
    fc.assert(
      fc.property(modulePath, (path) => {
        const escaped = escapePath(path);
        expect(escaped).toBe(escaped.toLowerCase());
        expect(unescapePath(escaped)).toBe(path);
      }),
    );
  });

  test("paths that differ by case alone have escaped forms that differ by more", () => {
    fc.assert(
      fc.property(modulePath, fc.nat(), (path, position) => {
        const start = path.indexOf("/") + 1;
        fc.pre(start > 0);
        const at = start + (position % (path.length - start));
        const other = parseModulePath(path.slice(0, at) + path.charAt(at).toUpperCase() + path.slice(at + 1));
        fc.pre(other !== path);
        expect(escapePath(other).toLowerCase()).not.toBe(escapePath(path).toLowerCase());
      }),
    );
  });

  test("a version survives escaping", () => {
    fc.assert(
      fc.property(version, (text) => {
        expect(unescapeVersion(escapeVersion(text))).toBe(text);
      }),
    );
  });

  test("what is unescaped is escaped to the same text again", () => {
    const nearlyEscaped = fc.stringMatching(/^[a-z]\.[a-z](\/([a-z0-9._~-]|!a|!z){1,6}){0,3}$/);
    fc.assert(
      fc.property(nearlyEscaped, (text) => {
        let path;
        try {
          path = unescapePath(text);
        } catch {
          return;
        }
        expect(escapePath(path)).toBe(text);
      }),
    );
  });
});
