import { describe, expect, test } from "vitest";
import { parseModulePath, parseVersion } from "../module/index.ts";
import { lookupPath, parseLogRequest } from "./log-request.ts";

describe("a request to a log", () => {
  test.each([
    ["supported", { kind: "supported" }],
    ["latest", { kind: "latest" }],
    ["lookup/rsc.io/quote@v1.5.2", { kind: "lookup", modulePath: "rsc.io/quote", version: "v1.5.2" }],
    [
      "lookup/github.com/!azure/go-autorest@v14.2.0+incompatible",
      { kind: "lookup", modulePath: "github.com/Azure/go-autorest", version: "v14.2.0+incompatible" },
    ],
    [
      "lookup/github.com/%21azure/x@v1.0.0-%21r%21c.1",
      { kind: "lookup", modulePath: "github.com/Azure/x", version: "v1.0.0-RC.1" },
    ],
    [
      "lookup/golang.org/toolchain@v0.0.1-go1.21.0.linux-amd64",
      { kind: "lookup", modulePath: "golang.org/toolchain", version: "v0.0.1-go1.21.0.linux-amd64" },
    ],
    ["tile/8/0/x001/234.p/5", { kind: "tile", tile: { height: 8, level: 0, index: 1234, width: 5 } }],
    ["tile/8/data/000", { kind: "tile", tile: { height: 8, level: -1, index: 0, width: 256 } }],
  ])("%s", (rest, request) => {
    expect(parseLogRequest(rest)).toEqual(request);
  });

  test.each([
    ["", "has latest, lookup/ and tile/"],
    ["supported/", "has latest, lookup/ and tile/"],
    ["latest?x", "has latest, lookup/ and tile/"],
    ["lookup/", "invalid module@version syntax"],
    ["lookup/rsc.io/quote", "invalid module@version syntax"],
    ["lookup/@v1.0.0", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@latest", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@v1.5", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@v1.5.2+meta", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@v1.5.2@v1.0.0", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@v1.5.2/go.mod", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@v1.5.2\n", "invalid module@version syntax"],
    ["lookup/rsc.io/quote@v01.5.2", "not a semantic version"],
    ["lookup/rsc.io/quote@v1.0.0-01", "not a semantic version"],
    ["lookup/rsc.io/quote@v2.0.0", "should be v0 or v1, not v2"],
    ["lookup/rsc.io/quote/v2@v1.0.0", "should be v2, not v1"],
    ["lookup/rsc.io/Quote@v1.5.2", "invalid escaped module path"],
    ["lookup/rsc@v1.5.2", "malformed module path"],
    ["lookup/rsc.io/../quote@v1.5.2", "malformed module path"],
    ["lookup/rsc.io/%2e%2e/quote@v1.5.2", "malformed module path"],
    ["lookup/rsc.io/quote@v1.5.2-A", "invalid escaped version"],
    ["lookup/rsc.io/quote@v1.5.2-a/../b", "invalid escaped version"],
    ["lookup/rsc.io/%zz@v1.5.2", "malformed percent-encoding"],
    ["tile/8/0/1", "malformed tile path"],
    ["tile/8/0/000.p/256", "malformed tile path"],
  ])("is not %j", (rest, problem) => {
    expect(() => parseLogRequest(rest)).toThrow(expect.objectContaining({ code: "malformed_request" }));
    expect(() => parseLogRequest(rest)).toThrow(problem);
  });

  test("for a version is escaped", () => {
    const path = lookupPath(parseModulePath("github.com/Azure/x"), parseVersion("v1.0.0-RC.1"));
    expect(path).toBe("lookup/github.com/!azure/x@v1.0.0-!r!c.1");
  });
});
