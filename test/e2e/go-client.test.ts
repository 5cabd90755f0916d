import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fixtureConsumer, pseudoVersion, pseudoVersionHash, toolchainVersion } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

describe.skipIf(lacks("go", ["version"]))("the real go command through Sluice", () => {
  let upstream: FixtureUpstream;
  let sluice: RunningSluice;
  let machine: GoMachine;

  beforeAll(async () => {
    upstream = await startFixtureUpstream();
    sluice = await startSluiceProcess({ upstream: upstream.url });
  });
  afterAll(async () => {
    await sluice.stop();
    await upstream.close();
  });
  beforeEach(async () => {
    machine = await createGoMachine({ GOPROXY: sluice.url });
    onTestFinished(() => machine.remove());
    upstream.clearFaults();
  });

  async function createConsumer(): Promise<void> {
    for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(join(machine.dir, name), content);
  }

  async function goOk(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await machine.go(args);
    expect(code, stderr).toBe(0);
    return stdout.trim();
  }

  test("downloads everything, verifies it, builds, and makes the go.sum that the upstream alone makes", async () => {
    await createConsumer();
    await goOk("mod", "tidy");
    await goOk("mod", "download", "all");
    expect(await goOk("mod", "verify")).toBe("all modules verified");
    await goOk("build", "./...");
    const goSum = await readFile(join(machine.dir, "go.sum"), "utf8");

    const direct = await createGoMachine({ GOPROXY: upstream.url });
    onTestFinished(() => direct.remove());
    for (const [name, content] of Object.entries(fixtureConsumer)) await writeFile(join(direct.dir, name), content);
    expect((await direct.go(["mod", "tidy"])).code).toBe(0);
    expect(goSum).toBe(await readFile(join(direct.dir, "go.sum"), "utf8"));
    expect(goSum.split("\n").length).toBeGreaterThan(20);
  });

  test("lists versions without pseudo-versions", async () => {
    expect(await goOk("list", "-m", "-versions", "example.com/leaf")).toBe(
      "example.com/leaf v1.0.0 v1.1.0 v1.2.0 v1.3.0-rc.1",
    );
    expect(await goOk("list", "-m", "-versions", "example.com/pseudo")).toBe("example.com/pseudo");
  });

  test.each([
    ["@latest of tags", "example.com/leaf@latest", "v1.2.0"],
    ["@latest without tags", "example.com/pseudo@latest", pseudoVersion],
    ["@latest with retractions", "example.com/retracted@latest", "v1.0.0"],
    ["an uppercase path", "example.com/Upper/Case@v1.0.0", "v1.0.0"],
    ["an uppercase version", "example.com/Upper/Case@v1.1.0-RC.1", "v1.1.0-RC.1"],
    ["a /v2 module", "example.com/versioned/v2@latest", "v2.1.0"],
    ["gopkg.in", "gopkg.in/fixture.v2@latest", "v2.3.4"],
    ["+incompatible", "example.com/legacy@v3.0.0+incompatible", "v3.0.0+incompatible"],
    ["+incompatible asked without the suffix", "example.com/legacy@v3.0.0", "v3.0.0+incompatible"],
    ["a branch", "example.com/pseudo@main", pseudoVersion],
    ["a commit", `example.com/pseudo@${pseudoVersionHash}`, pseudoVersion],
    ["a pseudo-version", `example.com/pseudo@${pseudoVersion}`, pseudoVersion],
    ["a prefix", "example.com/leaf@v1.1", "v1.1.0"],
  ])("resolves %s", async (_name, query, version) => {
    expect(await goOk("list", "-m", "-f", "{{.Version}}", query)).toBe(version);
  });

  test("go get finds the module of a package among its path's prefixes", async () => {
    await goOk("mod", "init", "example.com/consumer");
    await goOk("get", "example.com/nested/a@v1.0.0");
    expect(await readFile(join(machine.dir, "go.mod"), "utf8")).toContain("example.com/nested/a v1.0.0");
    const { code, stderr } = await machine.go(["get", "example.com/leaf/no/such/package"]);
    expect(code).toBe(1);
    expect(stderr).toContain("does not contain package example.com/leaf/no/such/package");
  });

  test("a toolchain is relayed", async () => {
    const { stderr } = await machine.go(["version"], {
      GOTOOLCHAIN: "go1.99.0",
      GOFLAGS: "",
      GONOSUMDB: "*",
      GONOSUMCHECK: "1",
    });
    const asked = upstream.requestsFor(/^golang\.org\/toolchain\//).map(({ path }) => path);
    expect(asked, stderr).toContain(`golang.org/toolchain/@v/${toolchainVersion}.zip`);
  });

  test("a version that does not exist is 404, and go says why", async () => {
    const { code, stderr } = await machine.go(["list", "-m", "example.com/leaf@v1.99.0"]);
    expect(code).toBe(1);
    expect(stderr).toContain("404 Not Found");
    expect(stderr).toContain("not found: example.com/leaf@v1.99.0");
    expect(stderr).not.toContain("Truncated");
  });

  test("an outage is 502, names the upstream, and is no reason to go around the proxy", async () => {
    upstream.setFault("example.com/retracted/@v/v1.1.0.zip", {
      kind: "status",
      status: 503,
      body: "secret detail of the upstream",
    });
    const { code, stderr } = await machine.go(["mod", "download", "example.com/retracted@v1.1.0"], {
      GOPROXY: `${sluice.url},direct`,
    });
    expect(code).toBe(1);
    expect(stderr).toContain("502 Bad Gateway");
    expect(stderr).toContain(new URL(upstream.url).host);
    expect(stderr).not.toContain("secret detail");
    expect(stderr).not.toContain("Truncated");
  });

  test("with the upstream switched off, everything seen still works and the unseen is an outage", async () => {
    await createConsumer();
    await goOk("mod", "tidy");
    await goOk("mod", "download", "all");
    await goOk("list", "-m", "-versions", "example.com/leaf");
    const { port } = upstream;
    await upstream.close();
    onTestFinished(async () => {
      upstream = await startFixtureUpstream({ port });
    });

    await machine.clearModCache();
    await goOk("mod", "download", "all");
    expect(await goOk("mod", "verify")).toBe("all modules verified");
    expect(await goOk("list", "-m", "-versions", "example.com/leaf")).toContain("v1.3.0-rc.1");
    const { code, stderr } = await machine.go(["mod", "download", "example.com/nested/d@v1.1.0"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/50[24] (Bad Gateway|Gateway Timeout)/);
  });

  test("the store is a file:// GOPROXY of its own at every moment", async () => {
    await createConsumer();
    await goOk("mod", "tidy");
    await goOk("mod", "download", "all");
    const offline = await createGoMachine({ GOPROXY: `file://${sluice.dataDir}/modules` });
    onTestFinished(() => offline.remove());
    for (const name of ["go.mod", "go.sum", ...Object.keys(fixtureConsumer).filter((name) => name.endsWith(".go"))]) {
      await writeFile(join(offline.dir, name), await readFile(join(machine.dir, name)));
    }
    const { code, stderr } = await offline.go(["mod", "download", "all"]);
    expect(code, stderr).toBe(0);
    expect((await offline.go(["mod", "verify"])).stdout.trim()).toBe("all modules verified");
    expect(await readdir(join(sluice.dataDir, "modules"))).not.toHaveLength(0);
  });
});
