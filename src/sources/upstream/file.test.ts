import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFakeClock } from "../../../test/support/fake-clock.ts";
import type { FixtureFiles } from "../../../test/support/fixture-modules.ts";
import { failureOf, fetchBytes } from "../../../test/support/source-harness.ts";
import { describeSource } from "../../../test/suites/source.ts";
import type { SluiceEvent } from "../../core/events.ts";
import { createFileSource } from "./file.ts";

describeSource("file upstream", async (files) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-file-source-"));
  await writeFiles(folder, files);
  return {
    source: createFileSource({ name: `file://${folder}`, folder, clock: createFakeClock(), events: { emit() {} } }),
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true });
    },
  };
});

describe("a folder", () => {
  const key = "example.com/m/@v/v1.0.0.mod";
  let root: string;
  let folder: string;
  let events: SluiceEvent[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-file-source-"));
    folder = join(root, "modules");
    events = [];
    await mkdir(join(folder, dirname(key)), { recursive: true });
    await writeFile(join(root, "secret"), "module secret\n");
  });
  afterEach(() => rm(root, { recursive: true }));

  function fetchKey(at = folder): Promise<Buffer> {
    const source = createFileSource({
      name: "file:///modules",
      folder: at,
      clock: createFakeClock(),
      events: { emit: (event) => events.push(event) },
    });
    return fetchBytes(source, key);
  }

  test("links within the folder are followed, also when the folder itself is reached by one", async () => {
    await writeFile(join(folder, "elsewhere"), "module m\n");
    await symlink("../../../elsewhere", join(folder, key));
    await symlink("modules", join(root, "link"));
    expect(await fetchKey()).toEqual(Buffer.from("module m\n"));
    expect(await fetchKey(join(root, "link"))).toEqual(Buffer.from("module m\n"));
    expect(await fetchKey(`${folder}/`)).toEqual(Buffer.from("module m\n"));
  });

  test.each([
    ["a file outside", "../../../../secret"],
    ["an absolute path", "/etc/hostname"],
    ["a folder next to it whose name begins alike", "../../../../modules-b/v1.0.0.mod"],
  ])("a link to %s is refused", async (_name, target) => {
    await mkdir(join(root, "modules-b"));
    await writeFile(join(root, "modules-b/v1.0.0.mod"), "module secret\n");
    await symlink(target, join(folder, key));
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("leads out of the folder"),
    });
  });

  test("a folder on the way that is a link to outside is refused too", async () => {
    await mkdir(join(root, "outside/@v"), { recursive: true });
    await writeFile(join(root, "outside/@v/v1.0.0.mod"), "module secret\n");
    await rm(join(folder, "example.com/m"), { recursive: true });
    await symlink(join(root, "outside"), join(folder, "example.com/m"));
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("leads out of the folder"),
    });
  });

  test("what is no file is refused and not waited for", async () => {
    await mkdir(join(folder, key));
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("not a file"),
    });
    await rm(join(folder, key), { recursive: true });
    execFileSync("mkfifo", [join(folder, key)]);
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("not a file"),
    });
  });

  test("a dangling link is not_found, a link to itself a failure", async () => {
    await symlink("nowhere", join(folder, key));
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "not_found",
      message: expect.stringContaining("no such file"),
    });
    await rm(join(folder, key));
    await symlink("v1.0.0.mod", join(folder, key));
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "upstream_failed",
      message: expect.stringContaining("ELOOP"),
    });
  });

  test("a folder that is gone says nothing about modules", async () => {
    expect(await failureOf(fetchKey(join(root, "unmounted")))).toMatchObject({
      code: "upstream_failed",
      message: expect.stringContaining("ENOENT"),
    });
    expect(await failureOf(fetchKey(join(root, "secret")))).toMatchObject({
      code: "upstream_failed",
      message: expect.stringContaining("not a folder"),
    });
  });

  test("every fetch is reported", async () => {
    await writeFile(join(folder, key), "module m\n");
    await fetchKey();
    await rm(join(folder, key));
    expect(await failureOf(fetchKey())).toMatchObject({
      code: "not_found",
      message: expect.stringContaining("no such file"),
    });
    expect(events).toMatchObject([
      { type: "upstream_attempt", upstream: "file:///modules", key, attempt: 1, outcome: "ok" },
      { type: "upstream_attempt", upstream: "file:///modules", key, attempt: 1, outcome: "not_found" },
    ]);
  });
});

async function writeFiles(folder: string, files: FixtureFiles): Promise<void> {
  for (const [key, bytes] of files) {
    await mkdir(dirname(join(folder, key)), { recursive: true });
    await writeFile(join(folder, key), bytes);
  }
}
