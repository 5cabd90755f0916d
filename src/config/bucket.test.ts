import { describe, expect, it } from "vitest";
import { load, type Input } from "../../test/support/config.ts";
import { printConfig } from "./print.ts";

const bucket = '[bucket]\nurl = "s3://modules/some/prefix"\n';
const minio = `${bucket}endpoint = "https://minio.example.com:9000"\n`;
const files = { "/srv/app/conf/key": "hunter2\n", "/srv/app/conf/empty": "\n", "/srv/app/conf/ca.pem": "no PEM" };

describe("a bucket", () => {
  it("of AWS needs its URL only; the rest is what the AWS tools find", () => {
    expect(load({ file: bucket }).config.sharedBucket).toStrictEqual({
      bucket: "modules",
      prefix: "some/prefix",
      endpoint: undefined,
      region: undefined,
      pathStyle: false,
      ca: undefined,
      caFile: undefined,
      credentials: undefined,
      redirectFromBytes: undefined,
      onlyWriter: false,
    });
  });

  it.each([
    ["s3://modules", "modules", ""],
    ["s3://modules/", "modules", ""],
    ["s3://my.modules-1/a/b/", "my.modules-1", "a/b"],
  ])("may be %s", (url, name, prefix) => {
    expect(load({ flags: { bucket: url } }).config.sharedBucket).toMatchObject({ bucket: name, prefix });
  });

  it.each([
    [{}, "us-east-1"],
    [{ AWS_REGION: "eu-north-1" }, "eu-north-1"],
    [{ AWS_DEFAULT_REGION: "eu-west-1" }, "eu-west-1"],
    [{ AWS_REGION: "eu-north-1", SLUICE_BUCKET_REGION: "nowhere" }, "nowhere"],
  ])("behind an endpoint is asked by path, and with %j in the region %s", (env, region) => {
    expect(load({ file: minio, env }).config.sharedBucket).toMatchObject({ pathStyle: true, region });
    expect(load({ file: `${minio}path_style = false`, env }).config.sharedBucket).toMatchObject({ pathStyle: false });
  });

  it("may have its own key, whose secret is never printed", () => {
    const fromFile = load({ file: `${bucket}access_key_id = "id"\nsecret_key_file = "key"`, files });
    const fromEnv = load({ file: `${bucket}access_key_id = "id"\nsecret_key_env = "KEY"`, env: { KEY: "hunter2" } });
    for (const loaded of [fromFile, fromEnv]) {
      expect(loaded.config.sharedBucket?.credentials?.accessKeyId).toBe("id");
      expect(loaded.config.sharedBucket?.credentials?.secretKey.reveal()).toBe("hunter2");
      expect(printConfig(loaded) + JSON.stringify(loaded.config)).not.toContain("hunter2");
    }
  });
});

it("redirects from a size on, if it is told to", () => {
  expect(load({ file: `${bucket}redirect_from = "50MiB"` }).config.sharedBucket?.redirectFromBytes).toBe(50 * 2 ** 20);
});

const noBucket = "is not a bucket; write s3://, its name, and maybe a prefix, such as s3://modules/sluice";
const noEndpoint =
  "is not the URL of a store; write https:// or http:// and its host, such as https://minio.example.com:9000, without the bucket";

const mistakes: readonly (readonly [Input, string])[] = [
  [{ flags: { bucket: "modules" } }, `--bucket "modules" ${noBucket}`],
  [{ flags: { bucket: "https://modules.s3.example.com" } }, `--bucket "https://modules.s3.example.com" ${noBucket}`],
  [{ flags: { bucket: "s3://modules/../other" } }, `--bucket "s3://modules/../other" ${noBucket}`],
  [{ flags: { bucket: "s3://modules//a" } }, `--bucket "s3://modules//a" ${noBucket}`],
  [
    { file: '[bucket]\nregion = "eu-north-1"' },
    "[bucket] url is missing; write the bucket that the other settings are about, such as s3://modules",
  ],
  [{ file: `${bucket}endpoint = "minio:9000"` }, `conf/sluice.toml:3: [bucket] endpoint = "minio:9000" ${noEndpoint}`],
  [
    { file: `${bucket}endpoint = "https://minio.example.com/modules"` },
    `conf/sluice.toml:3: [bucket] endpoint = "https://minio.example.com/modules" ${noEndpoint}`,
  ],
  [
    { file: `${bucket}endpoint = "https://u:hunter2@minio.example.com"` },
    `conf/sluice.toml:3: [bucket] endpoint ${noEndpoint}`,
  ],
  [
    { file: `${bucket}ca_file = "gone"` },
    'conf/sluice.toml:3: [bucket] ca_file = "/srv/app/conf/gone" does not exist; check the path',
  ],
  [
    { file: `${bucket}ca_file = "ca.pem"`, files },
    'conf/sluice.toml:3: [bucket] ca_file = "/srv/app/conf/ca.pem" holds no certificate in PEM form',
  ],
  [
    { file: `${bucket}access_key_id = "id"` },
    "conf/sluice.toml:3: [bucket] access_key_id stands alone; name its secret by secret_key_file or secret_key_env",
  ],
  [
    { file: `${bucket}secret_key_file = "key"`, files },
    "[bucket] access_key_id is missing; write the name of the key that the secret belongs to",
  ],
  [
    { file: `${bucket}access_key_id = "id"\nsecret_key_env = "KEY"` },
    "conf/sluice.toml:4: [bucket] secret_key_env names an environment variable that is not set",
  ],
  [
    { file: `${bucket}access_key_id = "id"\nsecret_key_file = "empty"`, files },
    'conf/sluice.toml:4: [bucket] secret_key_file = "/srv/app/conf/empty" is empty',
  ],
  [
    { file: `${bucket}access_key_id = "id"\nsecret_key_file = "key"\nsecret_key_env = "KEY"`, files },
    "conf/sluice.toml:5: [bucket] secret_key_env stands beside secret_key_file; keep one of them",
  ],
  [
    { file: `${bucket}redirect_from = "0B"` },
    'conf/sluice.toml:3: [bucket] redirect_from = "0B" is too small; write at least "1B"',
  ],
  [
    { file: `${bucket}secret_access_key = "hunter2"` },
    "conf/sluice.toml:3: [bucket] has no secret_access_key; did you mean secret_key_file?",
  ],
];

describe("a mistake", () => {
  it.each(mistakes)("%j gets one sentence", (input, sentence) => {
    expect(() => load(input)).toThrow(expect.objectContaining({ code: "config_invalid", message: sentence }));
    expect(sentence).not.toContain("hunter2");
  });
});
