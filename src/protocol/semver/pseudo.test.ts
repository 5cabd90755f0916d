import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  build,
  canonical,
  compareVersions,
  isPseudoVersion,
  isValid,
  prerelease,
  pseudoVersion,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
} from "./index.ts";

const time = new Date("2006-01-02T15:04:05Z");

// SPEC §10.2, 9
const derived = [
  { major: "", older: "", version: "v0.0.0-20060102150405-hash" },
  { major: "v2", older: "", version: "v2.0.0-20060102150405-hash" },
  { major: "", older: "v0.0.0", version: "v0.0.1-0.20060102150405-hash" },
  { major: "", older: "v1.2.3", version: "v1.2.4-0.20060102150405-hash" },
  { major: "", older: "v1.2.9", version: "v1.2.10-0.20060102150405-hash" },
  { major: "", older: "v1.2.1999", version: "v1.2.2000-0.20060102150405-hash" },
  { major: "", older: "v1.2.99999999999999999", version: "v1.2.100000000000000000-0.20060102150405-hash" },
  { major: "", older: "v1.2.3-pre", version: "v1.2.3-pre.0.20060102150405-hash" },
  { major: "", older: "v0.0.0--", version: "v0.0.0--.0.20060102150405-hash" },
  { major: "v2", older: "v2.0.0+incompatible", version: "v2.0.1-0.20060102150405-hash+incompatible" },
  { major: "v2", older: "v2.3.0-pre+incompatible", version: "v2.3.0-pre.0.20060102150405-hash+incompatible" },
];

test.each(derived)("behind $major $older comes $version", ({ major, older, version }) => {
  expect(pseudoVersion({ major, older, time, rev: "hash" })).toBe(version);
});

test.each(derived)("$version is taken apart again", ({ older, version }) => {
  expect(isPseudoVersion(version)).toBe(true);
  expect(pseudoVersionBase(version)).toBe(older);
  expect(pseudoVersionRev(version)).toBe("hash");
  expect(pseudoVersionTime(version)).toEqual(time);
});

test("the time is written in UTC, to the second", () => {
  const precise = new Date("2024-02-29T23:59:59.999-11:30");
  expect(pseudoVersion({ time: precise, rev: "hash" })).toBe("v0.0.0-20240301112959-hash");
});

test.each([new Date(Number.NaN), new Date("-000001-01-01T00:00:00Z"), new Date("+010000-01-01T00:00:00Z")])(
  "a time without four-digit year is refused: %s",
  (bad) => {
    expect(() => pseudoVersion({ time: bad, rev: "hash" })).toThrow(
      expect.objectContaining({ code: "malformed_version" }),
    );
  },
);

// SPEC §10.2, 10
test.each([
  ["v0.0.0", "syntax error"],
  ["", "syntax error"],
  ["v0.0.0-0.20060102150405-hash", "version before v0.0.0 would have negative patch number"],
  ["v0.1.0-0.20060102150405-hash", "version before v0.1.0 would have negative patch number"],
  ["v0.0.0-20060102150405-hash+incompatible", `lacks base version, but has build metadata "+incompatible"`],
])("%j has no base", (version, reason) => {
  expect(() => pseudoVersionBase(version)).toThrow(
    expect.objectContaining({ code: "malformed_version", message: `pseudo-version "${version}" invalid: ${reason}` }),
  );
});

// SPEC §10.2, 11
test.each([
  "v1.2.3-20200101000000-abcdef123456",
  "v2.0.1-20200722182040-012345abcdef+incompatible",
  "v1.999.999-99999999999999-daa7c04131f5",
  "v1.2.0-20200101000000-abcdef123456",
  "v1.0.0",
  "v1-0.20200101000000-abcdef123456",
  "v1.0.0-pre",
  "v1.0.0-pre0.20200101000000-abcdef123456",
  "v1.0.0-pre.00.20200101000000-abcdef123456",
  "v1.0.0-20200101000000-",
  "v1.0.0-20200101000000-abc.def",
  "v1.0.0-20200101000000.abcdef",
  "v1.0.0-2020010100000-abcdef",
  "v1.0.0-020200101000000-abcdef",
  "v1.0.0-0.2020010100000x-abcdef",
  "1.0.0-20200101000000-abcdef",
])("%j is no pseudo-version", (version) => {
  expect(isPseudoVersion(version)).toBe(false);
  expect(() => pseudoVersionRev(version)).toThrow("syntax error");
});

test.each([
  "v0.0.0-20200101000000-ABCDEF",
  "v7.0.0-99999999999999-0",
  "v1.0.0-0.0.20200101000000-abcdef",
  "v1.2.3-a-b.0.20200101000000-abcdef+meta.01",
])("%j is a pseudo-version", (version) => {
  expect(isPseudoVersion(version)).toBe(true);
});

test.each([
  ["20240229000000", "2024-02-29T00:00:00.000Z"],
  ["00000229235959", "0000-02-29T23:59:59.000Z"],
  ["99991231235959", "9999-12-31T23:59:59.000Z"],
  ["00990101000000", "0099-01-01T00:00:00.000Z"],
])("the time %s is %s", (digits, iso) => {
  expect(pseudoVersionTime(`v0.0.0-${digits}-hash`).toISOString()).toBe(iso);
});

test.each([
  "20230229000000",
  "19000229000000",
  "20240001000000",
  "20241301000000",
  "20240100000000",
  "20240431000000",
  "20240101240000",
  "20240101006000",
  "20240101000060",
])("the time %s is no real date", (digits) => {
  expect(() => pseudoVersionTime(`v0.0.0-${digits}-hash`)).toThrow(`invalid: malformed time "${digits}"`);
});

describe("for any base", () => {
  const integer = fc.oneof(
    fc.nat().map(String),
    fc.stringMatching(/^[1-9][0-9]{0,30}$/),
    fc.stringMatching(/^[1-9]9{0,20}$/),
  );
  const suffix = (mark: string) => fc.constantFrom("", `${mark}rc.1`, `${mark}0`, `${mark}-`, `${mark}a-b.0`);
  const older = fc
    .tuple(integer, integer, integer, suffix("-"), suffix("+"))
    .map(([a, b, c, pre, metadata]) => `v${a}.${b}.${c}${pre}${metadata}`);
  const date = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true });
  const rev = fc.stringMatching(/^[0-9a-f]{12}$/);

  test("what was put in comes out, and the order is base < pseudo-version < next", () => {
    fc.assert(
      fc.property(older, date, rev, (base, when, revision) => {
        const version = pseudoVersion({ older: base, time: when, rev: revision });
        expect([isValid(version), isPseudoVersion(version)]).toEqual([true, true]);
        expect(pseudoVersionBase(version)).toBe(base);
        expect(pseudoVersionRev(version)).toBe(revision);
        expect(pseudoVersionTime(version).getTime()).toBe(Math.floor(when.getTime() / 1000) * 1000);
        expect(compareVersions(base, version)).toBeLessThan(0);
        const next = canonical(version)?.split("-")[0] ?? "";
        expect(compareVersions(version, next)).toBeLessThan(0);
        expect(build(version)).toBe(build(base));
        expect(prerelease(version).startsWith(prerelease(base))).toBe(true);
      }),
    );
  });
});
