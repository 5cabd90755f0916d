import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parseModulePath, parseVersion } from "../../protocol/module/index.ts";
import { ZipThreads } from "./zip-threads.ts";
import type { ZipJob } from "./zip-worker.ts";

const modulePath = parseModulePath("example.com/mod");
const version = parseVersion("v1.0.0");

let threads: ZipThreads;

beforeEach(() => {
  threads = new ZipThreads(2);
});

afterEach(() => threads.close());

it("makes what one thread can make one after the other", async () => {
  const answers = await Promise.all(Array.from({ length: 30 }, (_, index) => threads.run(jobOf(index + 1))));
  expect(answers.flat().map(({ kind }) => kind)).toEqual(Array.from({ length: 30 }, () => "made"));
});

it("starts another thread when a zip takes long, so that it holds up no small one", async () => {
  const ended: string[] = [];
  const long = threads.run(jobOf(96 * 1024 * 1024)).then(() => ended.push("long"));
  const small = threads.run(jobOf(10)).then(() => ended.push("small"));
  await Promise.all([long, small]);
  expect(ended).toEqual(["small", "long"]);
});

it("answers those that wait when it is closed", async () => {
  const answers = Promise.all([threads.run(jobOf(10)), threads.run(jobOf(10)), threads.run(jobOf(10))]);
  await threads.close();
  for (const [answer] of await answers) expect(answer).toMatchObject({ kind: "failed" });
});

/** A module with a file of so many random bytes, which cannot be compressed. */
function jobOf(size: number): ZipJob {
  const goMod = Buffer.from("module example.com/mod\n");
  const bytes = new Uint8Array(goMod.length + size);
  bytes.set(goMod);
  bytes.set(randomBytes(size), goMod.length);
  const files = [
    { path: "go.mod", isLink: false, size: goMod.length },
    { path: "data.bin", isLink: false, size },
  ];
  return { packed: { files, bytes }, orders: [{ modulePath, version, dir: "", license: undefined }] };
}
