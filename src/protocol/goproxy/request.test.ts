import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../error.ts";
import { type ModuleRequest, blobKey, parseRequest, requestUrl } from "./index.ts";

const azure = "github.com/Azure/go-autorest";
const hash = "0123456789abcdef0123456789abcdef01234567";

describe("parseRequest reads", () => {
  test.each<[string, object]>([
    ["/rsc.io/quote/@v/list", { kind: "list", modulePath: "rsc.io/quote" }],
    ["/rsc.io/quote/@latest", { kind: "latest", modulePath: "rsc.io/quote" }],
    ["/rsc.io/quote/v3/@v/v3.1.0.zip", { kind: "zip", modulePath: "rsc.io/quote/v3", version: "v3.1.0" }],
    ["/gopkg.in/yaml.v2/@v/v2.4.0.mod", { kind: "mod", modulePath: "gopkg.in/yaml.v2", version: "v2.4.0" }],
    [
      "/github.com/%21azure/go-autorest/@v/v13.3.0+incompatible.info",
      { kind: "info", modulePath: azure, version: "v13.3.0+incompatible" },
    ],
    [
      "/github.com/!azure/go-autorest/@v/v13.3.0+incompatible.info",
      { kind: "info", modulePath: azure, version: "v13.3.0+incompatible" },
    ],
    [
      "/github.com/!azure/go-autorest/@v/v1.0.0-%21r%21c1.mod",
      { kind: "mod", modulePath: azure, version: "v1.0.0-RC1" },
    ],
    ["/rsc.io/quote/%40v/v1.0.0.info", { kind: "info", modulePath: "rsc.io/quote", version: "v1.0.0" }],
    ["/rsc.io%2Fquote/@v/list", { kind: "list", modulePath: "rsc.io/quote" }],
    [
      "/x.y/z/@v/v0.0.0-20200101000000-abcdef123456.info",
      { kind: "info", modulePath: "x.y/z", version: "v0.0.0-20200101000000-abcdef123456" },
    ],
    [
      "/golang.org/toolchain/@v/v0.0.1-go1.26.0.linux-amd64.zip",
      { kind: "zip", modulePath: "golang.org/toolchain", version: "v0.0.1-go1.26.0.linux-amd64" },
    ],
    ["/golang.org/toolchain/@v/list", { kind: "list", modulePath: "golang.org/toolchain" }],
  ])("%s", (path, request) => {
    expect(parseRequest(path)).toEqual(request);
  });
});

describe("parseRequest takes for a query", () => {
  test.each([
    ["master", "master"],
    ["!h!e!a!d", "HEAD"],
    [hash, hash],
    [hash.slice(0, 12), hash.slice(0, 12)],
    ["v1.2.3+meta", "v1.2.3+meta"],
    ["v2.0.0", "v2.0.0"],
    ["v1.2-rc", "v1.2-rc"],
    ["release.v1", "release.v1"],
    ["v01", "v01"],
  ])(".info of %s", (escaped, query) => {
    expect(parseRequest(`/x.y/z/@v/${escaped}.info`)).toEqual({ kind: "query", modulePath: "x.y/z", query });
  });
});

describe("parseRequest refuses", () => {
  test.each([
    ["", '"" is no module URL: it has neither /@v/ nor /@latest'],
    ["/", '"/" is no module URL: it has neither /@v/ nor /@latest'],
    ["/favicon.ico", '"/favicon.ico" is no module URL: it has neither /@v/ nor /@latest'],
    ["/@v/list", '"/@v/list" has no module path'],
    ["x.y/@v/list", '"x.y/@v/list" has no module path'],
    ["/x.y/z/@", '"@" is none of @latest and @v/'],
    ["/x.y/z/@v", '"@v" is none of @latest and @v/'],
    ["/x.y/z/@latest/", '"@latest/" is none of @latest and @v/'],
    ["/x.y/z/@v/", '@v/ has no file "": it has list, and .info, .mod and .zip of every version'],
    ["/x.y/z/@v/list/", '@v/ has no file "list/": it has list, and .info, .mod and .zip of every version'],
    ["/x.y/z/@v/v1.0.0.tar", '@v/ has no file "v1.0.0.tar": it has list, and .info, .mod and .zip of every version'],
    [
      "/x.y/z/@v/v1.0.0.ziphash",
      '@v/ has no file "v1.0.0.ziphash": it has list, and .info, .mod and .zip of every version',
    ],
    ["/X.y/z/@v/list", 'invalid escaped module path "X.y/z"'],
    ["/%252e%252e/@v/list", 'invalid escaped module path "%2e%2e"'],
    ["/x.y/%zz/@v/list", '"/x.y/%zz/@v/list" has a malformed percent-encoding'],
    ["/x.y/%ff/@v/list", '"/x.y/%ff/@v/list" has a malformed percent-encoding'],
    ["/x.y/z/@v/v1.0.0-RC1.mod", 'invalid escaped version "v1.0.0-RC1"'],
    [
      "/x.y/z/@v/feature%2fx.info",
      'disallowed version string "feature/x": a name with a slash cannot be asked of a proxy; use the commit hash',
    ],
    ["/x.y/z/@v/v1.2.mod", "version v1.2 is not canonical"],
    ["/x.y/z/@v/v1.2.3+meta.zip", "version v1.2.3+meta is not canonical"],
    ["/x.y/z/@v/master.zip", "version master is not canonical"],
    ["/x.y/z/@v/v2.0.0.mod", 'version "v2.0.0" invalid: should be v0 or v1, not v2'],
    ["/x.y/z/v2/@v/v1.0.0.zip", 'version "v1.0.0" invalid: should be v2, not v1'],
    ["/x.y/z/@v/latest.info", "@v/latest.info is not a URL of the protocol: ask for @latest"],
    ["/x.y/z/@v/upgrade.info", 'the query "upgrade" is not answered by a proxy: ask for @v/list and choose'],
    ["/x.y/z/@v/v1.info", 'the query "v1" is not answered by a proxy: ask for @v/list and choose'],
    ["/x.y/z/@v/v1.2.info", 'the query "v1.2" is not answered by a proxy: ask for @v/list and choose'],
    ["/x.y/z/@v/%3Cv1.2.3.info", 'invalid escaped version "<v1.2.3"'],
    ["/x.y/z/@v/.info", 'invalid escaped version ""'],
    ["/x.y/z/@v/...info", 'invalid escaped version ".."'],
    ["/x.y/../z/@v/list", 'invalid escaped module path "x.y/../z"'],
    ["/x.y//z/@v/list", 'invalid escaped module path "x.y//z"'],
    ["/x.y/z%00/@v/list", String.raw`invalid escaped module path "x.y/z\x00"`],
  ])("%j", (path, message) => {
    expect(() => parseRequest(path)).toThrow(
      expect.objectContaining({
        name: "ProtocolError",
        code: "malformed_request",
        message: expect.stringContaining(message),
      }),
    );
  });
});

describe("requests and URLs", () => {
  const element = fc
    .stringMatching(/^[A-Za-z0-9_-]{1,8}$/)
    .filter((text) => !/^(con|prn|aux|nul|com\d|lpt\d|-.*)$/i.test(text));
  const version = fc
    .tuple(fc.nat(), fc.nat(), fc.option(fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,6}$/)))
    .map(([minor, patch, pre]) => `v1.${minor}.${patch}${pre === null ? "" : `-${pre}`}`);

  test("of a path and a version lead back to the request", () => {
    const kind = fc.constantFrom("info", "mod", "zip");
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 4 }), version, kind, (elements, version, kind) => {
        const path = `example.com/${elements.join("/")}`;
        const escape = (text: string): string => text.replace(/[A-Z]/g, (letter) => `%21${letter.toLowerCase()}`);
        const parsed = parseRequest(`/${escape(path)}/@v/${escape(version)}.${kind}`);
        expect(parsed).toEqual({ kind, modulePath: path, version });
        expect(parseRequest(`/${blobKey(parsed)}`)).toEqual(parsed);
        expect(parseRequest(requestUrl(new URL("https://proxy.example.com"), parsed).pathname)).toEqual(parsed);
      }),
    );
  });

  /** The request, and the one that its key leads back to. */
  function parseTwice(path: string): readonly [ModuleRequest, ModuleRequest] | undefined {
    try {
      const parsed = parseRequest(path);
      return [parsed, parseRequest(`/${blobKey(parsed).replaceAll("%", "%25")}`)];
    } catch (error) {
      if (error instanceof ProtocolError && error.code === "malformed_request") return undefined;
      throw error;
    }
  }

  test("of any form throw nothing but malformed_request, and what is accepted has one key", () => {
    const part = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "/@v/",
        "/@latest",
        "/@",
        "list",
        ".info",
        ".mod",
        ".zip",
        "v1.0.0",
        "x.y/z",
        "%21",
        "%",
        "!",
        "+incompatible",
      ),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const [parsed, again] = parseTwice(`/${parts.join("")}`) ?? [];
        expect(again).toEqual(parsed);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("blobKey", () => {
  test.each([
    ["/github.com/%21azure/go-autorest/@v/v1.0.0.zip", "github.com/!azure/go-autorest/@v/v1.0.0.zip"],
    ["/rsc.io/quote/@v/list", "rsc.io/quote/@v/list"],
    ["/rsc.io/quote/@latest", "rsc.io/quote/@latest"],
    ["/rsc.io/quote/@v/%21h%21e%21a%21d.info", "rsc.io/quote/@v/!h!e!a!d.info"],
  ])("of %s is %s", (path, key) => {
    expect(blobKey(parseRequest(path))).toBe(key);
  });
});

describe("requestUrl", () => {
  const request = parseRequest("/github.com/!azure/x/@v/v13.3.0+incompatible.info");

  test.each([
    ["https://proxy.example.com", "https://proxy.example.com/github.com/!azure/x/@v/v13.3.0+incompatible.info"],
    ["https://proxy.example.com/", "https://proxy.example.com/github.com/!azure/x/@v/v13.3.0+incompatible.info"],
    ["https://h.example.com/a/go", "https://h.example.com/a/go/github.com/!azure/x/@v/v13.3.0+incompatible.info"],
    [
      "https://h.example.com/go/?key=1",
      "https://h.example.com/go/github.com/!azure/x/@v/v13.3.0+incompatible.info?key=1",
    ],
    ["file:///var/cache/download", "file:///var/cache/download/github.com/!azure/x/@v/v13.3.0+incompatible.info"],
  ])("under %s is %s", (base, url) => {
    const baseUrl = new URL(base);
    expect(requestUrl(baseUrl, request).href).toBe(url);
    expect(baseUrl.href).toBe(new URL(base).href);
  });

  test("escapes what a URL cannot have in its path", () => {
    const query = parseRequest("/x.y/z/@v/a%20%23%25%7B&=$@~.info");
    expect(requestUrl(new URL("https://proxy.example.com"), query).href).toBe(
      "https://proxy.example.com/x.y/z/@v/a%20%23%25%7B&=$@~.info",
    );
  });
});
