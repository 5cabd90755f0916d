import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyStore } from "../../src/cli/store/copy.ts";
import type { Outcome } from "../../src/cli/store/outcome.ts";
import { scrub, type ScrubFlags } from "../../src/cli/store/scrub.ts";
import type { Config } from "../../src/config/index.ts";
import { S3Bucket } from "../../src/storage/blob/s3-bucket.ts";
import { load } from "../support/config.ts";
import { fillDataFolder } from "../support/filled-data-folder.ts";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";

const fixture = fixtureFiles();
const zip = "example.com/leaf/@v/v1.2.0.zip";
const big = "example.com/big/@v/v1.0.0.zip";
const minio = s3Programs.filter(({ name }) => name === "minio");

describe.skipIf(minio.some(lacksS3Server))("sluice scrub --in-bucket", () => {
  let server: S3Server;
  let upstream: FixtureUpstream;
  let bucket: S3Bucket;
  let dataDir: string;
  let prefix = 0;

  beforeAll(async () => {
    for (const program of minio) server = await startS3Server(program);
    upstream = await startFixtureUpstream();
    bucket = new S3Bucket({ ...server.options(), prefix: "" });
  });

  afterAll(async () => {
    bucket.close();
    await upstream.close();
    await server.stop();
  });

  beforeEach(async () => {
    prefix += 1;
    dataDir = await mkdtemp(path.join(tmpdir(), "sluice-scrub-s3-"));
    await fillDataFolder(dataDir, fixture, { source: upstream.url });
    const flags = { jobs: "8", dryRun: false, verifySums: false };
    await copyStore(dataDir, `s3://${server.bucket}/scrub/${prefix}`, config(), flags);
  });

  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  it("reads every object and finds nothing", async () => {
    const { text, problems } = await run();
    expect(problems).toEqual([]);
    expect(text).toContain(`in s3://${server.bucket}/scrub/${prefix}: all of them are what they were.`);
  });

  it("sets changed objects aside, and with --fix puts back what the data folder has", async () => {
    await change(zip);
    await change(big);
    expect((await run({ dryRun: true })).problems).toHaveLength(2);
    const { problems } = await run({ fix: true });
    expect(problems.toSorted()).toEqual([
      expect.stringMatching(/^example\.com\/big\/.* recorded was .*; set aside, and fetched again: it is good now$/),
      expect.stringMatching(/^example\.com\/leaf\/.* recorded was .*; set aside, and fetched again: it is good now$/),
    ]);
    expect((await run()).problems).toEqual([]);
    for (const key of [zip, big]) expect((await get(key)).equals(fixture.get(key) ?? Buffer.alloc(0))).toBe(true);
  });

  it("asks the sources for what the data folder does not have", async () => {
    await change(zip);
    await rm(path.join(dataDir, "modules", zip));
    expect((await run({ fix: true })).problems).toEqual([expect.stringContaining("fetched again: it is good now")]);
    expect((await get(zip)).equals(fixture.get(zip) ?? Buffer.alloc(0))).toBe(true);
  });

  it("needs a bucket", async () => {
    const own = load({ env: { SLUICE_DATA_DIR: dataDir } }).config;
    await expect(scrub(own, { fix: false, dryRun: false, inBucket: true, jobs: "2" })).rejects.toThrow(
      "--in-bucket needs the bucket of the configuration, and there is none",
    );
  });

  function run(flags: Partial<ScrubFlags> = {}): Promise<Outcome> {
    return scrub(config(), { fix: false, dryRun: false, inBucket: true, jobs: "4", ...flags });
  }

  function config(): Config {
    const { accessKeyId, secretAccessKey } = server.options().credentials;
    return load({
      env: {
        SLUICE_DATA_DIR: dataDir,
        GOPROXY: upstream.url,
        GOSUMDB: "off",
        SLUICE_BUCKET_URL: `s3://${server.bucket}/scrub/${prefix}`,
        SLUICE_BUCKET_ENDPOINT: server.endpoint,
        SLUICE_BUCKET_ACCESS_KEY_ID: accessKeyId,
        SLUICE_BUCKET_SECRET_KEY_ENV: "SECRET",
        SECRET: secretAccessKey,
      },
    }).config;
  }

  function objectOf(key: string) {
    return { Bucket: server.bucket, Key: `scrub/${prefix}/modules/${key}` };
  }

  async function get(key: string): Promise<Buffer> {
    const answer = await bucket.call((client) => client.send(new GetObjectCommand(objectOf(key))));
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  }

  async function change(key: string): Promise<void> {
    const bytes = Buffer.from(fixture.get(key) ?? []);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await bucket.call((client) => client.send(new PutObjectCommand({ ...objectOf(key), Body: bytes })));
  }
});
