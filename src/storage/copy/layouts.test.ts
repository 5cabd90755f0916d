import { expect, it } from "vitest";
import { blobKey } from "../../protocol/goproxy/index.ts";
import { requestAt } from "./layouts.ts";

it.each([
  // Ours, and a module cache's
  ["example.com/leaf/@v/v1.0.0.zip", "example.com/leaf/@v/v1.0.0.zip"],
  ["example.com/!upper/!case/@v/v1.1.0-!r!c.1.mod", "example.com/!upper/!case/@v/v1.1.0-!r!c.1.mod"],
  ["example.com/leaf/@v/list", "example.com/leaf/@v/list"],
  ["example.com/pseudo/@v/main.info", "example.com/pseudo/@v/main.info"],
  ["example.com/leaf/@latest", "example.com/leaf/@latest"],
  // Athens in S3
  ["example.com/Upper/Case/@v/v1.1.0-RC.1.zip", "example.com/!upper/!case/@v/v1.1.0-!r!c.1.zip"],
  ["example.com/legacy/@v/v3.0.0+incompatible.info", "example.com/legacy/@v/v3.0.0+incompatible.info"],
  // Athens on disk and in MinIO
  ["example.com/leaf/v1.0.0/go.mod", "example.com/leaf/@v/v1.0.0.mod"],
  ["example.com/leaf/v1.0.0/source.zip", "example.com/leaf/@v/v1.0.0.zip"],
  ["example.com/leaf/v1.0.0/v1.0.0.info", "example.com/leaf/@v/v1.0.0.info"],
  ["example.com/Upper/Case/v1.1.0-RC.1/v1.1.0-RC.1.info", "example.com/!upper/!case/@v/v1.1.0-!r!c.1.info"],
  ["example.com/versioned/v2/v2.0.0/go.mod", "example.com/versioned/v2/@v/v2.0.0.mod"],
])("%s is %s", (name, key) => {
  const request = requestAt(name);
  expect(request && blobKey(request)).toBe(key);
});

it.each([
  ["example.com/leaf/@v/v1.0.0.ziphash"],
  ["example.com/leaf/@v/v1.0.0.lock"],
  ["example.com/leaf/v1.0.0/v1.1.0.info"],
  ["example.com/leaf/v1.0.0/main.go"],
  ["example.com/versioned/v2/go.mod"],
  ["example.com/leaf/v2.0.0/go.mod"],
  ["sumdb/sum.example.com/tile/8/0/000"],
  ["toolchain/releases/data"],
  ["quarantine/2026/example.com/leaf/@v/v1.0.0.zip"],
  ["go.mod"],
  [""],
])("%j is no file of a module", (name) => {
  expect(requestAt(name)).toBeUndefined();
});
