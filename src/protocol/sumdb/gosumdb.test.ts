import { describe, expect, test } from "vitest";
import { parseGosumdb } from "./gosumdb.ts";
import { generateKey } from "./note-key.ts";

const golangKey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const keyOf = (name: string): string => generateKey(name, new Uint8Array(32)).verifierKey;

describe("GOSUMDB", () => {
  test("may be off", () => {
    expect(parseGosumdb("off")).toEqual({ kind: "off" });
  });

  test.each([
    ["sum.golang.org", "sum.golang.org", golangKey, undefined],
    [golangKey, "sum.golang.org", golangKey, undefined],
    ["sum.golang.org https://mirror.example/sumdb", "sum.golang.org", golangKey, "https://mirror.example/sumdb"],
    ["sum.golang.google.cn", "sum.golang.org", golangKey, "https://sum.golang.google.cn"],
    [keyOf("corp.example"), "corp.example", keyOf("corp.example"), undefined],
    [` ${keyOf("corp.example/go")} `, "corp.example/go", keyOf("corp.example/go"), undefined],
    [
      `${keyOf("localhost:8080")}\thttp://127.0.0.1:8080/`,
      "localhost:8080",
      keyOf("localhost:8080"),
      "http://127.0.0.1:8080",
    ],
    [`${keyOf("x")} https://h.example/a//`, "x", keyOf("x"), "https://h.example/a"],
  ])("%j", (text, name, verifierKey, url) => {
    expect(parseGosumdb(text)).toMatchObject({ kind: "database", name, verifierKey, url, verifier: { name } });
  });

  test.each([
    ["", "missing GOSUMDB"],
    [" ", "missing GOSUMDB"],
    ["sum.golang.org https://a.example https://b.example", "invalid GOSUMDB: too many fields"],
    ["sum.example.com", "invalid GOSUMDB: malformed verifier id"],
    ["sum.golang.google.cn https://mirror.example", "invalid GOSUMDB: malformed verifier id"],
    ["OFF", "invalid GOSUMDB: malformed verifier id"],
    [golangKey.replace("033de0ae", "033de0af"), "invalid GOSUMDB: invalid verifier hash"],
    [keyOf("corp.example/"), "invalid sumdb name (must be host[/path])"],
    [keyOf("/corp.example"), "invalid sumdb name"],
    [keyOf("https://corp.example"), "invalid sumdb name"],
    [keyOf("user@corp.example"), "invalid sumdb name"],
    [keyOf("corp.example?x"), "invalid sumdb name"],
    [keyOf("corp.example#x"), "invalid sumdb name"],
    [keyOf("corp.example/%2e"), "invalid sumdb name"],
    [keyOf("corp.example/../x"), "invalid sumdb name"],
    [keyOf("corp.example/./x"), "invalid sumdb name"],
    [keyOf("corp.example//x"), "invalid sumdb name"],
    [keyOf(".."), "invalid sumdb name"],
    [`${golangKey} mirror.example`, "invalid GOSUMDB URL"],
    [`${golangKey} file:///srv/log`, "invalid GOSUMDB URL"],
    [`${golangKey} https://`, "invalid GOSUMDB URL"],
    [`${golangKey} https://mirror.example/?x`, "invalid GOSUMDB URL"],
  ])("cannot be %j", (text, problem) => {
    expect(() => parseGosumdb(text)).toThrow(expect.objectContaining({ code: "malformed_gosumdb" }));
    expect(() => parseGosumdb(text)).toThrow(problem);
  });
});
