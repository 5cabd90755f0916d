import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { SluiceError } from "../core/errors.ts";
import { type ChainEntry, formatChain, parseChain } from "./chain-spec.ts";

function summary(entries: readonly ChainEntry[]): string[] {
  return entries.map((entry) => {
    const separator = entry.kind !== "end" && entry.fallBackOnError ? "|" : "";
    return `${entry.kind} ${entry.name}${separator}`;
  });
}

describe("a chain is read as go reads GOPROXY", () => {
  test.each<[string, string[]]>([
    ["https://a.example", ["http https://a.example"]],
    ["https://a.example,direct", ["http https://a.example", "end direct"]],
    ["https://a.example|https://b.example,off", ["http https://a.example|", "http https://b.example", "end off"]],
    ["off", ["end off"]],
    ["direct", ["end direct"]],
    // blanks around entries, empty entries, and whose separator counts then
    [" https://a.example ,\t https://b.example\n", ["http https://a.example", "http https://b.example"]],
    [",,https://a.example,|,https://b.example,", ["http https://a.example", "http https://b.example"]],
    ["https://a.example|,https://b.example", ["http https://a.example|", "http https://b.example"]],
    ["https://a.example,|https://b.example", ["http https://a.example", "http https://b.example"]],
    ["https://a.example|", ["http https://a.example|"]],
    // nothing behind off and direct is read, not even to complain
    ["off,ftp://a.example,nonsense", ["end off"]],
    ["https://a.example,direct|ftp://b.example", ["http https://a.example", "end direct"]],
    // a missing scheme
    ["a.example", ["http https://a.example"]],
    ["localhost:8080", ["http https://localhost:8080"]],
    ["a.example/go", ["http https://a.example/go"]],
    ["localhost/go", ["http https://localhost/go"]],
    // base paths, schemes and ports
    ["http://127.0.0.1:3000/go/", ["http http://127.0.0.1:3000/go"]],
    ["HTTPS://A.Example:443/Go/Proxy", ["http https://a.example/Go/Proxy"]],
    ["https://[::1]:8080/go", ["http https://[::1]:8080/go"]],
    // folders
    ["file:///srv/go/modules", ["file file:///srv/go/modules"]],
    ["file:///srv/go/modules/", ["file file:///srv/go/modules"]],
    ["file:/srv/go", ["file file:///srv/go"]],
    ["file:///", ["file file:///"]],
    ["file:///a%20b|off", ["file file:///a%20b|", "end off"]],
  ])("%j", (text, expected) => {
    expect(summary(parseChain(text))).toEqual(expected);
  });
});

test("a folder's name is decoded", () => {
  expect(parseChain("file:///srv/a%20b")).toMatchObject([{ kind: "file", folder: "/srv/a b" }]);
});

test("a query stays in the URL and out of the name", () => {
  const [entry] = parseChain("https://a.example/go?token=hunter2");
  expect(entry?.name).toBe("https://a.example/go");
  expect(entry).toMatchObject({ url: new URL("https://a.example/go?token=hunter2") });
});

describe("user info becomes credentials that are never printed", () => {
  test.each([
    ["https://me:hunter2@a.example/go", "https://a.example/go", { username: "me", password: "hunter2" }],
    ["http://me:hunter2@127.0.0.1:81", "http://127.0.0.1:81", { username: "me", password: "hunter2" }],
    ["https://token@a.example", "https://a.example", { username: "token", password: "" }],
    ["https://:hunter2@a.example", "https://a.example", { username: "", password: "hunter2" }],
    ["https://me:p%40ss%2Fw%3Ard%25@a.example", "https://a.example", { username: "me", password: "p@ss/w:rd%" }],
    ["me:hunter2@a.example", "https://a.example", { username: "me", password: "hunter2" }],
  ])("%j", (text, name, credentials) => {
    const chain = parseChain(text);
    const [entry] = chain;
    if (entry?.kind !== "http") throw new Error("not an HTTP entry");
    expect(entry.credentials?.reveal()).toEqual(credentials);
    expect(entry.name).toBe(name);
    expect(entry.url.href).not.toContain("@");
    for (const printed of [
      JSON.stringify(chain),
      inspect(chain, { depth: 9, showHidden: true }),
      formatChain(chain),
      String(entry.credentials),
    ]) {
      for (const secret of Object.values(credentials).filter((text) => text !== "" && text !== "me")) {
        expect(printed).not.toContain(secret);
      }
    }
  });
});

describe("what is wrong is said with what to write, and without secrets", () => {
  test.each([
    ["", "no entries"],
    [" , | ", "no entries"],
    ["ftp://a.example/go", "write https://a.example/go"],
    ["htps://me:hunter2@a.example", "write https://a.example"],
    ["s3://me:hunter2@bucket", "write https://bucket"],
    ["proxy", "write https:// before a host name"],
    ["Direct", "write direct in lower case"],
    ["OFF", "write off in lower case"],
    ["none", "write off"],
    ["/srv/modules", "write file:///srv/modules"],
    ["https://", "has no host"],
    ["https:/a.example", "has no host"],
    ["https:///a.example", "has no host"],
    ["https://a.example:port", "is not a URL"],
    ["https://me:hunter2@a.example:99999", '"https://***@a.example:99999" in the chain of upstreams is not a URL'],
    ["https://me:hun/ter2@a.example", "is not a URL"],
    ["https://me:12/hunter2@a.example", "%2F"],
    ["https://me:12?hunter2@a.example", "%3F"],
    ["https://me:hunter2%@a.example", "%25"],
    ["https://me:hun ter2@a.example", "has a blank"],
    ["https://a.example https://b.example", "separate entries by a comma"],
    ["https://a.example/\u0000", "control character"],
    ["file://host/share", "write file:///path/to/folder"],
    ["file:///srv?x=1", "write file:///path/to/folder"],
    ["file:///srv#x", "write file:///path/to/folder"],
    ["file:////srv", "write file:///path/to/folder"],
    ["file:srv", "is not a URL"],
    ["file:///srv/%zz", "%25"],
    ["file:///srv/a%2Fb", "%25"],
  ])("%j", (text, message) => {
    const error = failureOf(() => parseChain(text));
    expect(error.code).toBe("config_invalid");
    expect(error.message).toContain(message);
    expect(error.message).not.toMatch(/hunter2|hun|ter2/);
  });
});

function failureOf(run: () => unknown): SluiceError {
  try {
    run();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("did not fail");
}

test("a chain is printed with its separators", () => {
  const text = "https://me:pw@a.example|file:///srv,https://b.example/go/|direct";
  expect(formatChain(parseChain(text))).toBe("https://a.example|file:///srv,https://b.example/go|direct");
});
