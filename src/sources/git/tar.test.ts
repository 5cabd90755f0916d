import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lacks } from "../../../test/support/needs.ts";
import { buildRepo } from "../../../test/support/git-repos.ts";
import { readTar, TarError } from "./tar.ts";

const long = `${"deep/".repeat(30)}${"long-name-".repeat(18)}.go`;

test.skipIf(lacks("git"))("reads what git archive writes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tar-"));
  try {
    const repo = await buildRepo(join(folder, "r.git"), {
      commits: [
        {
          files: {
            "a.go": "package a\n",
            empty: "",
            [long]: "package long\n",
            "испытание/ü.go": "package u\n",
            link: { symlink: "a.go" },
            "long-link": { symlink: "x/".repeat(120) },
            "run.sh": { executable: "#!/bin/sh\n" },
            module: { gitlink: "0123456789012345678901234567890123456789" },
            block: "x".repeat(512),
          },
        },
      ],
    });
    const args = ["archive", "--format=tar", "--prefix=prefix/", "main"];
    const { stdout } = spawnSync("git", args, { cwd: repo.dir, maxBuffer: 1 << 26 });
    const files = [...readTar(stdout)].map(({ path, kind = "file", content }) => [
      path,
      kind,
      Buffer.from(content).toString(),
    ]);
    expect(files).toEqual([
      ["prefix/a.go", "file", "package a\n"],
      ["prefix/block", "file", "x".repeat(512)],
      [`prefix/${long}`, "file", "package long\n"],
      ["prefix/empty", "file", ""],
      ["prefix/link", "symlink", ""],
      ["prefix/long-link", "symlink", ""],
      ["prefix/run.sh", "file", "#!/bin/sh\n"],
      ["prefix/испытание/ü.go", "file", "package u\n"],
    ]);
    expect(() => [...readTar(stdout.subarray(0, 2_000))]).toThrow(TarError);
    expect(() => [...readTar(stdout.subarray(0, 1_536))]).toThrow(TarError);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("an archive of nothing has no files", () => {
  expect([...readTar(new Uint8Array(10_240))]).toEqual([]);
});

test.each([
  ["nothing", new Uint8Array()],
  ["a half block", new Uint8Array(100).fill(1)],
  ["noise", new Uint8Array(2048).fill(0x39)],
])("%s is no archive", (_, bytes) => {
  expect(() => [...readTar(bytes)]).toThrow(TarError);
});
