import { describe, expect, it } from "vitest";
import { type BucketFlags, parseLocation } from "./location.ts";

const elsewhere = "https://minio.example.com:9000";

describe("a location", () => {
  it.each([
    ["/var/lib/sluice", "/var/lib/sluice"],
    ["file:///var/lib/a%20b", "/var/lib/a b"],
  ])("%s is a folder", (text, folder) => {
    expect(parseLocation(text, {})).toEqual({ kind: "folder", folder });
  });

  const aws = { endpoint: undefined, region: undefined, pathStyle: false };
  const minio = { endpoint: elsewhere, region: "us-east-1", pathStyle: true };
  it.each<readonly [text: string, flags: BucketFlags, expected: object]>([
    ["s3://modules", {}, { bucket: "modules", prefix: "", ...aws }],
    ["s3://modules/a/b/", {}, { bucket: "modules", prefix: "a/b", ...aws }],
    ["s3://modules", { endpoint: elsewhere }, { bucket: "modules", prefix: "", ...minio }],
    [
      `s3://modules?endpoint=${elsewhere}&region=eu-1`,
      { region: "eu-2" },
      { bucket: "modules", ...minio, region: "eu-1" },
    ],
    [`s3://modules?path_style=false`, { endpoint: elsewhere, pathStyle: "true" }, { ...minio, pathStyle: false }],
  ])("%s with %j is a bucket", (text, flags, expected) => {
    expect(parseLocation(text, flags)).toMatchObject({ kind: "bucket", ...expected });
  });

  it.each<readonly [text: string, flags: BucketFlags, message: string]>([
    ["gs://modules", {}, '"gs://modules" is neither a folder nor a bucket; write a path, or s3://bucket/prefix'],
    ["s3:///modules", {}, '"s3:///modules" is neither a folder nor a bucket; write a path, or s3://bucket/prefix'],
    [
      "s3://key:secret@modules",
      {},
      '"s3://modules" has credentials in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE',
    ],
    ["s3://modules?secret=x", {}, '"s3://modules?***" has "secret"; it may have endpoint, region, path_style'],
    [
      "s3://modules",
      { endpoint: "minio:9000" },
      '"s3://modules" has the endpoint "minio:9000"; write a URL, such as https://minio.example.com:9000',
    ],
    ["s3://modules", { pathStyle: "yes" }, '"s3://modules" has the path style "yes"; write true or false'],
  ])("%s with %j is refused", (text, flags, message) => {
    expect(() => parseLocation(text, flags)).toThrow(message);
  });
});
