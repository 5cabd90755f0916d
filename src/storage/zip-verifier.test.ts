import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { truncateSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { rawZip } from "../../test/support/raw-zip.ts";
import { hello, mib, root, sampleModule } from "../../test/support/zip-sample.ts";
import type { BlobContent, ZipVerifier } from "../core/ports.ts";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { hash1 } from "../protocol/zip/index.ts";
import { withZipFile } from "./zip-file.ts";
import { createZipVerifier, type ZipVerifierOptions } from "./zip-verifier.ts";

const crashing = new URL("../../test/support/crashing-zip-verifier.ts", import.meta.url);
const goodZip = rawZip([hello]);
const good = { h1: hash1([{ ...hello, content: Buffer.from(hello.content) }]), sha256: sha256(goodZip) };
const badZip = rawZip([{ ...hello, crc32: 1 }]);

let folder: string;
let verifiers: ZipVerifier[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "zip-verifier-"));
  verifiers = [];
});

afterEach(async () => {
  await Promise.all(verifiers.map((verifier) => verifier.close()));
  await rm(folder, { recursive: true });
});

function verifier(options: ZipVerifierOptions = {}): ZipVerifier {
  const created = createZipVerifier({ workers: 1, ...options });
  verifiers.push(created);
  return created;
}

function verify(
  by: ZipVerifier,
  content: BlobContent,
  modulePath: string = sampleModule.modulePath,
): ReturnType<ZipVerifier["verify"]> {
  return by.verify(content, parseModulePath(modulePath), parseVersion(sampleModule.version));
}

async function fileWith(bytes: Uint8Array): Promise<{ file: string; size: number }> {
  const file = path.join(folder, "m.zip");
  await writeFile(file, bytes);
  return { file, size: bytes.length };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("a good zip", () => {
  test("in memory", async () => {
    await expect(verify(verifier(), { bytes: goodZip })).resolves.toEqual(good);
  });

  test("in memory, as a part of something larger, which stays as it was", async () => {
    const larger = Buffer.concat([Buffer.alloc(100, 1), goodZip, Buffer.alloc(100, 2)]);
    const bytes = larger.subarray(100, -100);
    await expect(verify(verifier(), { bytes })).resolves.toEqual(good);
    expect(bytes.equals(goodZip)).toBe(true);
    expect(larger.length).toBe(goodZip.length + 200);
  });

  test("in a file", async () => {
    await expect(verify(verifier(), await fileWith(goodZip))).resolves.toEqual(good);
  });

  test("in a file too large to be read at once", async () => {
    const content = Buffer.alloc(70 * mib, "sluice");
    const zip = rawZip([{ name: `${root}large.bin`, content, method: 0 }, hello]);
    const expected = hash1([
      { name: `${root}large.bin`, content },
      { ...hello, content: Buffer.from(hello.content) },
    ]);
    await expect(verify(verifier(), await fileWith(zip))).resolves.toEqual({ h1: expected, sha256: sha256(zip) });
  });

  test("and many others at the same time, on several threads", async () => {
    const pool = verifier({ workers: 3 });
    const contents = Array.from({ length: 40 }, (_, index) => `package m\n// ${index}\n`);
    const answers = await Promise.all(
      contents.map((content) => verify(pool, { bytes: rawZip([{ ...hello, content }]) })),
    );
    expect(answers.map(({ h1 }) => h1)).toEqual(
      contents.map((content) => hash1([{ ...hello, content: Buffer.from(content) }])),
    );
  });
});

describe("fails with integrity", () => {
  test("for a bad zip, naming module, entry and reason", async () => {
    for (const content of [{ bytes: badZip }, await fileWith(badZip)]) {
      await expect(verify(verifier(), content)).rejects.toMatchObject({
        name: "SluiceError",
        code: "integrity",
        message:
          'example.com/m@v1.0.0: not a valid module zip: entry "example.com/m@v1.0.0/hello.go": its content has CRC-32 0x183ee5ba, expected 0x00000001',
        details: { modulePath: "example.com/m", version: "v1.0.0", problem: "malformed_zip" },
      });
    }
  });

  test("for a zip of another module", async () => {
    await expect(verify(verifier(), { bytes: goodZip }, "example.com/other")).rejects.toMatchObject({
      code: "integrity",
      message: expect.stringContaining('path does not have prefix "example.com/other@v1.0.0/"'),
    });
  });

  test("for a file of another size than it should have", async () => {
    const { file, size } = await fileWith(goodZip);
    await expect(verify(verifier(), { file, size: size + 1 })).rejects.toMatchObject({
      code: "integrity",
      message: `the zip file has ${size} bytes, expected ${size + 1}`,
    });
  });

  test("for a file that becomes shorter while it is read", async () => {
    const { file, size } = await fileWith(rawZip([{ ...hello, content: Buffer.alloc(65 * mib), method: 0 }]));
    const reading = withZipFile(file, size, async (zip) => {
      truncateSync(file, 1000);
      return zip.read(2000, 10);
    });
    await expect(reading).rejects.toMatchObject({ code: "integrity", message: /became shorter while it was read/ });
  });
});

test("fails with storage_failed for a file that cannot be read", async () => {
  await expect(verify(verifier(), { file: path.join(folder, "none.zip"), size: 1 })).rejects.toMatchObject({
    name: "SluiceError",
    code: "storage_failed",
    details: { errno: "ENOENT" },
  });
});

describe("a thread that dies", () => {
  test.each(["example.com/exits", "example.com/throws"])("of %s fails that zip only", async (modulePath) => {
    const pool = verifier({ script: crashing });
    const answers = await Promise.allSettled([
      verify(pool, { bytes: goodZip }),
      verify(pool, { bytes: goodZip }, modulePath),
      verify(pool, { bytes: goodZip }),
    ]);
    expect(answers).toMatchObject([
      { value: good },
      { reason: { code: "internal", message: `the thread that verified ${modulePath}@v1.0.0 died` } },
      { value: good },
    ]);
  });

  test("at once, because there is no such program, fails every zip", async () => {
    const pool = verifier({ script: new URL("./no-such-worker.ts", import.meta.url) });
    const answers = await Promise.allSettled([verify(pool, { bytes: goodZip }), verify(pool, { bytes: goodZip })]);
    expect(answers).toMatchObject([{ reason: { code: "internal" } }, { reason: { code: "internal" } }]);
  });
});

test("closing fails what was not verified yet, and what comes later", async () => {
  const pool = verifier();
  const large = { bytes: rawZip([{ ...hello, content: Buffer.alloc(50 * mib) }]) };
  const pending = Promise.allSettled([verify(pool, large), verify(pool, { bytes: goodZip })]);
  await pool.close();
  expect(await pending).toMatchObject([{ reason: { code: "draining" } }, { reason: { code: "draining" } }]);
  await expect(verify(pool, { bytes: goodZip })).rejects.toMatchObject({ code: "draining" });
});

describe("the process", () => {
  const program = (last: string) => `
    import { createZipVerifier } from ${JSON.stringify(new URL("./zip-verifier.ts", import.meta.url).href)};
    const bytes = Buffer.from(${JSON.stringify(goodZip.toString("base64"))}, "base64");
    const verifying = createZipVerifier().verify({ bytes }, "example.com/m", "v1.0.0");
    ${last}`;
  const run = (last: string) =>
    execFileSync(process.execPath, ["--input-type=module", "--eval", program(last)], {
      encoding: "utf8",
      timeout: 20_000,
    });

  test("does not end before a zip is verified, and ends then", () => {
    expect(run("verifying.then(({ h1 }) => console.log(h1));")).toBe(`${good.h1}\n`);
  });
});
