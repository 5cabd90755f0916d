import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openFilesIn } from "../../../test/support/open-files.ts";
import { type BlobStoreUnderTest, blobStoreSuite, keysOf, readKey } from "../../../test/suites/blob-store.ts";
import { createDiskBlobStore, type DiskBlobStoreOptions } from "./disk.ts";

describe.each([true, false])("with hard links: %s", (hardLinks) => {
  blobStoreSuite("disk", () => openDisk({ hardLinks }));
});

blobStoreSuite("disk without flushing", () => openDisk({ durable: false }));

describe("disk", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-"));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it("keeps nothing but blobs below its root, and lets others read them", async () => {
    const store = await createDiskBlobStore(foldersIn(folder));
    await store.create("example.com/m/@v/v1.0.0.mod", { bytes: Buffer.from("module example.com/m\n") });
    expect(await readdir(path.join(folder, "modules"), { recursive: true })).toEqual([
      "example.com",
      "example.com/m",
      "example.com/m/@v",
      "example.com/m/@v/v1.0.0.mod",
    ]);
    const stats = await stat(path.join(folder, "modules/example.com/m/@v/v1.0.0.mod"));
    expect(stats.mode & 0o444).toBe(0o444);
    expect(stats.nlink).toBe(1);
  });

  it("takes over a staging file without copying it", async () => {
    const store = await createDiskBlobStore(foldersIn(folder));
    const file = await store.stagingFile();
    await writeFile(file, "content");
    const { ino } = await stat(file);
    await store.create("a/b", { file, size: 7 });
    expect((await stat(path.join(folder, "modules/a/b"))).ino).toBe(ino);
  });

  it("copies a file that is on another file system", async () => {
    const elsewhere = await mkdtemp("/dev/shm/sluice-disk-").catch(() => mkdtemp(path.join(tmpdir(), "sluice-disk-")));
    try {
      const store = await createDiskBlobStore(foldersIn(folder));
      await writeFile(path.join(elsewhere, "f"), "content");
      expect(await store.create("a/b", { file: path.join(elsewhere, "f"), size: 7 })).toBe("created");
      expect(String(await readKey(store, "a/b"))).toBe("content");
      expect(await readdir(elsewhere)).toEqual([]);
      expect(await readdir(path.join(folder, "staging"))).toEqual([]);
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  });

  it("notices a change from outside by another revision, even of the same size at the same time", async () => {
    const store = await createDiskBlobStore(foldersIn(folder));
    await store.create("a", { bytes: Buffer.from("good") });
    const file = path.join(folder, "modules/a");
    const before = await stat(file);
    const { revision } = (await store.stat("a")) ?? {};
    await writeFile(file, "evil");
    await utimes(file, before.atime, before.mtime);
    expect((await store.stat("a"))?.revision).not.toBe(revision);
  });

  it("fails a stream whose file is cut while it is read", async () => {
    const store = await createDiskBlobStore(foldersIn(folder));
    await store.create("a", { bytes: Buffer.alloc(3 * 1024 * 1024, 1) });
    const stream = (await store.get("a"))?.stream();
    await writeFile(path.join(folder, "modules/a"), Buffer.alloc(100_000, 1));
    await expect(stream?.toArray()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("cut"),
    });
  });

  it("lists what links point to, and not what is neither file nor folder", async () => {
    const store = await createDiskBlobStore(foldersIn(folder));
    await store.create("a/b", { bytes: Buffer.from("x") });
    await symlink("b", path.join(folder, "modules/a/c"));
    await symlink("missing", path.join(folder, "modules/a/dangling"));
    await symlink("..", path.join(folder, "modules/a/loop"));
    expect(await keysOf(store, "")).toEqual(["a/b", "a/c"]);
  });

  it("refuses to start with its folders on two file systems", async ({ skip }) => {
    const elsewhere = await mkdtemp("/dev/shm/sluice-disk-").catch(() => undefined);
    if (elsewhere === undefined) return skip("no /dev/shm");
    try {
      const options = { ...foldersIn(folder), stagingDir: elsewhere };
      const refusal = { code: "storage_failed", message: expect.stringContaining("different file systems") };
      await expect(createDiskBlobStore(options)).rejects.toMatchObject(refusal);
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
    return undefined;
  });

  it("names the folder it cannot make", async () => {
    await writeFile(path.join(folder, "modules"), "a file");
    await expect(createDiskBlobStore(foldersIn(folder))).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining(path.join(folder, "modules")),
    });
  });

  describe("without permission", () => {
    // To root everything is permitted.
    const isRoot = process.getuid?.() === 0;

    afterEach(() => {
      if (isRoot) process.seteuid?.(0);
    });

    it("cannot be written, in words, and can be read", async () => {
      const store = await createDiskBlobStore(foldersIn(folder));
      await store.create("a/b", { bytes: Buffer.from("content") });
      for (const name of ["modules/a", "modules", "staging", "quarantine", "."])
        await chmod(path.join(folder, name), 0o555);
      if (isRoot) process.seteuid?.(65_534);
      const refusal = { code: "storage_failed", message: expect.stringMatching(/permission denied.*\(EACCES\)/) };
      await expect(store.create("a/c", { bytes: Buffer.from("x") })).rejects.toMatchObject(refusal);
      await expect(store.replace("a/b", Buffer.from("x"))).rejects.toMatchObject(refusal);
      await expect(store.delete("a/b")).rejects.toMatchObject(refusal);
      await expect(store.setAside("a/b")).rejects.toMatchObject(refusal);
      await expect(store.check()).rejects.toMatchObject(refusal);
      expect(String(await readKey(store, "a/b"))).toBe("content");
      if (isRoot) process.seteuid?.(0);
      for (const name of [".", "modules", "modules/a", "staging", "quarantine"])
        await chmod(path.join(folder, name), 0o755);
    });
  });

  it("tells that little space is left", async () => {
    const store = await createDiskBlobStore({ ...foldersIn(folder), minFreeBytes: Number.MAX_SAFE_INTEGER });
    await expect(store.check()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringMatching(/only \d+ MiB are free/),
    });
  });

  describe("the quarantine", () => {
    it("keeps what was set aside, under its key", async () => {
      const store = await createDiskBlobStore(foldersIn(folder));
      await store.create("a/b", { bytes: Buffer.from("broken") });
      await store.setAside("a/b");
      const [item = ""] = await readdir(path.join(folder, "quarantine"));
      expect(String(await readFile(path.join(folder, "quarantine", item, "a/b")))).toBe("broken");
    });

    it.each([
      ["files", { maxFiles: 2, maxBytes: 1000 }],
      ["bytes", { maxFiles: 100, maxBytes: 25 }],
    ])("drops the oldest beyond its limit of %s", async (_, quarantineLimits) => {
      const store = await createDiskBlobStore({ ...foldersIn(folder), quarantineLimits });
      for (const key of ["1", "2", "3"]) {
        await store.create(key, { bytes: Buffer.alloc(10) });
        await store.setAside(key);
      }
      const names = (await readdir(path.join(folder, "quarantine"), { recursive: true })).map((name) =>
        path.basename(name),
      );
      expect(names.filter((name) => /^[123]$/.test(name)).toSorted()).toEqual(["2", "3"]);
    });

    it("knows the order of those that were set aside within a millisecond", async () => {
      vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2026, 0, 2) });
      try {
        const quarantineLimits = { maxFiles: 1, maxBytes: 1000 };
        const store = await createDiskBlobStore({ ...foldersIn(folder), quarantineLimits });
        for (let key = 1; key <= 10; key++) {
          await store.create(String(key), { bytes: Buffer.alloc(10) });
          await store.setAside(String(key));
        }
      } finally {
        vi.useRealTimers();
      }
      const [item = "", ...others] = await readdir(path.join(folder, "quarantine"));
      expect(others).toEqual([]);
      expect(await readdir(path.join(folder, "quarantine", item))).toEqual(["10"]);
    });

    it("keeps one that is larger than its limit", async () => {
      const store = await createDiskBlobStore({ ...foldersIn(folder), quarantineLimits: { maxFiles: 1, maxBytes: 5 } });
      await store.create("a", { bytes: Buffer.alloc(10) });
      await store.setAside("a");
      expect(await readdir(path.join(folder, "quarantine"))).toHaveLength(1);
    });
  });
});

async function openDisk(options: Partial<DiskBlobStoreOptions>): Promise<BlobStoreUnderTest> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-disk-"));
  const folders = foldersIn(folder);
  const store = await createDiskBlobStore({ ...folders, ...options });
  return {
    store,
    leftovers: async () => [...(await readdir(folders.stagingDir)), ...(await openFilesIn(folders.root))],
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

function foldersIn(folder: string) {
  return {
    root: path.join(folder, "modules"),
    stagingDir: path.join(folder, "staging"),
    quarantineDir: path.join(folder, "quarantine"),
  };
}
