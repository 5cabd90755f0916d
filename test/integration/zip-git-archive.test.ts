import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { readZip } from "../../src/protocol/zip/index.ts";
import { lacks } from "../support/needs.ts";
import { filesOf, root, sampleModule, strictAccess } from "../support/zip-sample.ts";

describe.skipIf(lacks("git"))("a zip that git archive made", () => {
  test("is read, with its commit id as comment and its entries for folders", async () => {
    using folder = temporaryFolder();
    const git = (...args: string[]) =>
      execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], { cwd: folder.path });
    const files = {
      "go.mod": "module example.com/m\n",
      "sub/a.go": `package sub\n${"// again\n".repeat(500)}`,
      empty: "",
    };
    await mkdir(path.join(folder.path, "sub"));
    for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder.path, name), content);
    git("init", "-q");
    git("add", "-A");
    git("commit", "-q", "-m", "first");
    const zip = git("archive", "--format=zip", `--prefix=${root}`, "HEAD");
    expect(filesOf(zip)).toEqual({ "": "", "sub/": "", ...files });
    const { comment } = readZip(strictAccess(zip), sampleModule);
    expect(Buffer.from(comment).toString()).toBe(git("rev-parse", "HEAD").toString().trim());
  });
});

function temporaryFolder(): { readonly path: string } & Disposable {
  const folder = mkdtempSync(path.join(tmpdir(), "zip-git-"));
  return { path: folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
