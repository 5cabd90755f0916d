import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { onDisk, prepareOnce } from "./prepare-once.ts";

describe("prepareOnce", () => {
  test("is done once, and again after a failure only", async () => {
    const outcomes = ["fail", "ok"];
    let calls = 0;
    const prepare = prepareOnce(async () => {
      calls += 1;
      if (outcomes.shift() === "fail") throw new Error("no");
    });
    await expect(prepare()).rejects.toThrow("no");
    await Promise.all([prepare(), prepare()]);
    await prepare();
    expect(calls).toBe(2);
  });
});

describe("onDisk", () => {
  test("a failing disk is storage_failed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-disk-"));
    const read = onDisk("a file cannot be read", () => readFile(join(folder, "missing")));
    await expect(read).rejects.toMatchObject({ code: "storage_failed", message: "a file cannot be read: ENOENT" });
    await rm(folder, { recursive: true });
  });

  test("what is wrong with the program stays as it is", async () => {
    const work = onDisk("never", () => Promise.reject(new TypeError("a bug")));
    await expect(work).rejects.toThrow(TypeError);
  });
});
