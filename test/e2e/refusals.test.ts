import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type CommandResult, createGoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { startSluiceProcess } from "../support/sluice.ts";

/** A download by a go command that may go around Sluice, if that says that there is nothing. Answers how often it did. */
async function download(
  module: string,
  env: Readonly<Record<string, string>>,
): Promise<CommandResult & { readonly around: number }> {
  const upstream = await startFixtureUpstream();
  onTestFinished(() => upstream.close());
  const second = await startFixtureUpstream();
  onTestFinished(() => second.close());
  const sluice = await startSluiceProcess({ upstream: upstream.url, env });
  onTestFinished(async () => void (await sluice.stop("SIGKILL")));
  const machine = await createGoMachine({ GOPROXY: `${sluice.url},${second.url}` });
  onTestFinished(() => machine.remove());
  await writeFile(join(machine.dir, "go.mod"), "module example.com/consumer\n\ngo 1.21\n");
  return { ...(await machine.go(["mod", "download", module])), around: second.requests.length };
}

describe.skipIf(lacks("go", ["version"]))("what go prints, without going around, of", () => {
  test("a module that is denied", async () => {
    const { code, stderr, around } = await download("example.com/leaf@v1.0.0", {
      SLUICE_ACCESS_DENY_MODULES: "example.com/le*",
      SLUICE_ACCESS_CONTACT: "#go-help",
    });
    expect([code, around]).toStrictEqual([1, 0]);
    expect(stderr).toContain("403 Forbidden");
    expect(stderr).toContain(
      "example.com/leaf is not allowed here: modules of example.com/le* are denied (deny_modules of [access]). Ask #go-help.",
    );
  });

  test("a client that is denied", async () => {
    const { code, stderr, around } = await download("example.com/leaf@v1.0.0", {
      SLUICE_ACCESS_ALLOW_NETWORKS: "192.0.2.0/24",
    });
    expect([code, around]).toStrictEqual([1, 0]);
    expect(stderr).toContain("the client 127.0.0.1 is not allowed here: its network is none of those allowed");
  });

  test("a client that asks too much", async () => {
    // It asks for three files, one after the other.
    const { code, stderr, around } = await download("example.com/leaf@v1.0.0", {
      SLUICE_LIMITS_REQUESTS_PER_SECOND: "1",
      SLUICE_LIMITS_BURST: "1",
    });
    expect([code, around]).toStrictEqual([1, 0]);
    expect(stderr).toContain("429 Too Many Requests");
    expect(stderr).toContain(
      "127.0.0.1 asks for more than 1 files a second, which is the limit here; ask again in 1 s",
    );
  });

  test("a node that has too much to do", async () => {
    const { code, stderr, around } = await download("example.com/leaf@v1.0.0", {
      // Node.js alone takes more.
      SLUICE_LIMITS_MAX_MEMORY: "1MiB",
    });
    expect([code, around]).toStrictEqual([1, 0]);
    expect(stderr).toContain("503 Service Unavailable");
    expect(stderr).toMatch(/this Sluice has too much to do \(\d+ of 1 MiB of memory are in use\)/);
  });
});
