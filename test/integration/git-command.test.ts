import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Secret } from "../../src/core/secret.ts";
import { createGitCommand } from "../../src/sources/git/command.ts";
import { gitEnvironment } from "../../src/sources/git/credentials/git-environment.ts";

let folder = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-git-command-"));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a machine without file descriptors", () => {
  test("git that cannot be started is a failure to be tried again, and no crash", async () => {
    const module = new URL("../../src/sources/git/command.ts", import.meta.url).href;
    const script = `
      import { openSync } from "node:fs";
      import { createGitCommand } from ${JSON.stringify(module)};
      const git = createGitCommand({ home: ${JSON.stringify(join(folder, "home"))}, env: process.env });
      const run = () => git.run({ args: ["version"], signal: new AbortController().signal, timeoutMs: 20_000 });
      await run();
      try { for (;;) openSync("/dev/null"); } catch {}
      const code = await run().then(() => "ok", (error) => error.code ?? String(error));
      await new Promise((resolve) => setImmediate(resolve));
      process.stdout.write(code);
    `;
    const command = `ulimit -n 128; exec "$0" --input-type=module-typescript --eval "$1"`;
    const { stdout } = await promisify(execFile)("sh", ["-c", command, process.execPath, script]);
    expect(stdout).toBe("overloaded");
  });
});

describe("a disk that cannot be written", () => {
  test("is storage_failed, and the next run makes git's home", async () => {
    const inTheWay = join(folder, "data");
    await writeFile(inTheWay, "");
    const git = createGitCommand({ home: join(inTheWay, "home"), env: process.env });
    const run = { args: ["version"], signal: new AbortController().signal, timeoutMs: 20_000 };
    await expect(git.run(run)).rejects.toMatchObject({ code: "storage_failed" });
    await rm(inTheWay);
    expect((await git.run(run)).toString()).toMatch(/^git version/);
  });

  test("is storage_failed for an SSH key", async () => {
    const credential = { kind: "ssh", key: new Secret("key"), knownHostsFile: "/dev/null" } as const;
    const environment = gitEnvironment(credential, { folder: join(folder, "missing") });
    await expect(environment).rejects.toMatchObject({ code: "storage_failed" });
  });
});
