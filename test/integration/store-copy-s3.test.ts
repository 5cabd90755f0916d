import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { S3Bucket } from "../../src/storage/blob/s3-bucket.ts";
import { runCli } from "../support/cli.ts";
import { fixtureFiles, fixtureVersions } from "../support/fixture-modules.ts";
import { athensFiles, athensObjects, type Layout, readFiles, writeLayout } from "../support/fixture-places.ts";
import { lacksS3Server, s3Programs } from "../support/s3-programs.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";

const fixture = fixtureFiles();
const versions = fixtureVersions.length;

for (const program of s3Programs) {
  describe.skipIf(lacksS3Server(program))(`buckets of ${program.name}`, () => {
    let server: S3Server;
    let root: string;
    let folder: string;
    let prefixes = 0;
    let url: string;

    beforeAll(async () => {
      server = await startS3Server(program);
      root = await mkdtemp(path.join(tmpdir(), "sluice-copy-s3-"));
    });

    afterAll(async () => {
      await server.stop();
      await rm(root, { recursive: true, force: true });
    });

    beforeEach(() => {
      prefixes += 1;
      url = `s3://${server.bucket}/copy/${prefixes}`;
      folder = path.join(root, `data-${prefixes}`);
    });

    it("get what a data folder has, and give it back, byte for byte", async () => {
      await writeLayout(path.join(folder, "modules"), fixture);
      const there = await copy(folder, url);
      expect(there).toMatchObject({ code: 0, stderr: "" });
      expect(there.stdout).toContain(`Copied ${versions} of ${versions} versions`);
      const again = await copy(folder, url);
      expect(again.stdout).toMatch(
        new RegExp(`Copied 0 of ${versions} versions .*\\n {2}there already +${versions}\\n`),
      );
      const back = path.join(root, `back-${prefixes}`);
      expect(await copy(url, back)).toMatchObject({ code: 0, stderr: "" });
      const stored = await readFiles(path.join(back, "modules"));
      for (const [key, bytes] of fixture) expect(stored.get(key)?.equals(bytes), key).toBe(true);
    });

    it.each<readonly [what: string, layout: Layout]>([
      ["S3", athensObjects],
      ["MinIO", athensFiles],
    ])("that Athens filled as its %s store are read", async (_what, layout) => {
      await putAll(layout);
      expect(await copy(url, folder)).toMatchObject({ code: 0, stderr: "" });
      const stored = await readFiles(path.join(folder, "modules"));
      const kept = [...fixture].filter(([key]) => layout(key) !== undefined);
      for (const [key, bytes] of kept) expect(stored.get(key)?.equals(bytes), key).toBe(true);
    });

    it("that are not there, or not reached, are told of in one sentence", async () => {
      expect(await copy("s3://nowhere", folder)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("there is no such bucket: make it, or correct its name (NoSuchBucket)"),
      });
      expect(await copy(url, folder, { AWS_SECRET_ACCESS_KEY: "wrong" })).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("the secret key is not the right one"),
      });
    });

    function copy(from: string, to: string, env: Readonly<Record<string, string>> = {}) {
      const { accessKeyId, secretAccessKey } = server.options().credentials;
      const credentials = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
      return runCli(["store", "copy", from, to, "--endpoint", server.endpoint], {
        cwd: root,
        env: { ...credentials, ...env },
      });
    }

    async function putAll(layout: Layout): Promise<void> {
      const bucket = new S3Bucket({ ...server.options(), prefix: "" });
      for (const [key, bytes] of fixture) {
        const name = layout(key);
        if (name === undefined) continue;
        const put = new PutObjectCommand({ Bucket: bucket.name, Key: `copy/${prefixes}/${name}`, Body: bytes });
        await bucket.call((client) => client.send(put));
      }
      bucket.close();
    }
  });
}
