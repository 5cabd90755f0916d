import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { toolchainVersion } from "../support/fixture-modules.ts";
import type { GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import {
  createSumScene,
  ownLogName,
  ownVerifierKey,
  privateModule,
  publicLogName,
  rememberedLookup,
  type SumScene,
} from "../support/sumdb-scene.ts";

const isMissing = lacks("go", ["version"]) || lacks("git");
const publicPatterns = "example.com,gopkg.in";

describe.skipIf(isMissing)("the go command with GOSUMDB on", () => {
  let scene: SumScene;
  beforeEach(async () => {
    scene = await createSumScene();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  test("the public log, asked past a Sluice: what all other setups must come to", async () => {
    const go = await scene.createDeveloper({ GOPROXY: scene.upstream.url, GOSUMDB: scene.log.gosumdb });
    await writeProject(go, publicModules);
    await downloadAll(go);
    expect(await unconfirmed(go, publicLogName, publicModules)).toEqual([]);
  });

  test("the public log through Sluice: go asks nobody else, and private names stay here", async () => {
    const { url } = await scene.startSluice();
    const go = await scene.createDeveloper({
      GOPROXY: url,
      // Without a URL go would ask https://sum.public.example, which does not exist.
      GOSUMDB: scene.log.verifierKey,
      GONOSUMDB: "github.com/corp",
    });
    await writeProject(go, allModules);
    await downloadAll(go);
    expect(await unconfirmed(go, publicLogName, publicModules)).toEqual([]);
    expectNoPrivateName();
  });

  test("our log for private modules, none for public ones", async () => {
    const { url } = await scene.startSluice();
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: ownVerifierKey, GONOSUMDB: publicPatterns });
    await writeProject(go, allModules);
    await downloadAll(go);
    expect(await unconfirmed(go, ownLogName, [`${privateModule}@v1.1.0`])).toEqual([]);
    expect(await unconfirmed(go, ownLogName, publicModules)).toEqual(publicModules);
    expectNoPrivateName();
  });

  test("our log for everything: nothing is switched off at the client", async () => {
    const { url } = await scene.startSluice({ sumdb: "vouch_public = true" });
    const go = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: ownVerifierKey });
    await writeProject(go, allModules);
    await downloadAll(go);
    expect(await unconfirmed(go, ownLogName, allModules)).toEqual([]);
    expectNoPrivateName();
  });

  test("all setups make the same go.sum", async () => {
    const { url } = await scene.startSluice({ sumdb: "vouch_public = true" });
    const sums: string[] = [];
    for (const env of [
      { GOPROXY: url, GOSUMDB: ownVerifierKey },
      { GOPROXY: url, GOSUMDB: scene.log.verifierKey, GONOSUMDB: "github.com/corp" },
      { GOPROXY: url, GOSUMDB: "off" },
    ]) {
      const go = await scene.createDeveloper(env);
      await writeProject(go, allModules);
      await downloadAll(go);
      sums.push(await readFile(join(go.dir, "go.sum"), "utf8"));
    }
    expect(sums[0]).toContain(`${privateModule} v1.1.0 h1:`);
    expect(sums.map((sum) => sum === sums[0])).toEqual([true, true, true]);
  });

  test("by the address of our log, for clients whose GOPROXY is something else", async () => {
    const { url } = await scene.startSluice({ sumdb: "vouch_public = true" });
    const go = await scene.createDeveloper({
      GOPROXY: scene.upstream.url,
      GOSUMDB: `${ownVerifierKey} ${url}/sumdb/${ownLogName}`,
    });
    await writeProject(go, publicModules);
    await downloadAll(go);
    expect(await unconfirmed(go, ownLogName, publicModules)).toEqual([]);
  });

  test.each([
    ["the public log", (log: string) => ({ GOSUMDB: log, GONOSUMDB: "github.com/corp" }), ""],
    ["our log, private modules only", () => ({ GOSUMDB: ownVerifierKey, GONOSUMDB: publicPatterns }), ""],
    ["our log for everything", () => ({ GOSUMDB: ownVerifierKey }), "vouch_public = true"],
  ])(
    "with upstream, log and repositories gone, what was seen is downloaded and verified: %s",
    async (_, env, sumdb) => {
      const { upstream, log, git } = scene;
      const first = await scene.startSluice({ sumdb });
      const clientEnv = env(log.verifierKey);
      const warm = await scene.createDeveloper({ GOPROXY: first.url, ...clientEnv });
      await writeProject(warm, allModules);
      await downloadAll(warm);
      const goSum = await readFile(join(warm.dir, "go.sum"), "utf8");
      await Promise.all([upstream.close(), log.close(), git.close()]);

      const again = await scene.startSluice({ sumdb });
      const cold = await scene.createDeveloper({ GOPROXY: again.url, ...clientEnv });
      await writeProject(cold, allModules);
      await downloadAll(cold);
      expect(await readFile(join(cold.dir, "go.sum"), "utf8")).toBe(goSum);
      expect(await go(cold, "mod", "verify")).toBe("all modules verified\n");
    },
  );

  test("a toolchain, which go compares whatever the settings are", async () => {
    const { url } = await scene.startSluice({ sumdb: "vouch_public = true" });
    const machine = await scene.createDeveloper({ GOPROXY: url, GOSUMDB: ownVerifierKey, GONOSUMDB: "*" });
    await machine.go(["version"], { GOTOOLCHAIN: "go1.99.0", GOFLAGS: "" });
    expect(await unconfirmed(machine, ownLogName, [`golang.org/toolchain@${toolchainVersion}`])).toEqual([]);
  });

  test("a developer whose go has seen a newer tree than Sluice is served, and Sluice catches up", async () => {
    const { url } = await scene.startSluice();
    const env = { GOSUMDB: scene.log.verifierKey };
    const other = await scene.createDeveloper({ GOPROXY: url, ...env });
    await go(other, "mod", "download", "example.com/leaf@v1.0.0");
    scene.log.growTo(1500);
    const ahead = await scene.createDeveloper({ GOPROXY: scene.upstream.url, GOSUMDB: scene.log.gosumdb });
    await go(ahead, "mod", "download", "example.com/leaf@v1.1.0");
    await ahead.clearModCache();
    expect((await ahead.go(["mod", "download", "example.com/leaf@v1.2.0"], { GOPROXY: url, ...env })).stderr).toBe("");
  });

  function expectNoPrivateName(): void {
    expect(scene.upstream.requests.length).toBeGreaterThan(0);
    expect([...scene.upstream.requestsFor(/corp/), ...scene.log.requestsFor(/corp/)]).toEqual([]);
  }
});

const publicModules = ["example.com/nested/a@v1.0.0", "example.com/!upper/!case@v1.0.0", "gopkg.in/fixture.v2@v2.3.4"];
const allModules = [...publicModules, `${privateModule}@v1.1.0`];

/** A main module that needs these, escaped as in URLs. */
async function writeProject({ dir }: GoMachine, modules: readonly string[]): Promise<void> {
  const needs = modules.map((text) =>
    text.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase()).split("@"),
  );
  const requires = needs.map(([path, version]) => `\t${path} ${version}\n`).join("");
  const imports = needs.map(([path]) => `import _ "${path}"\n`).join("");
  await writeFile(join(dir, "go.mod"), `module example.org/app\n\ngo 1.21\n\nrequire (\n${requires})\n`);
  await writeFile(join(dir, "main.go"), `package main\n\n${imports}\nfunc main() {}\n`);
}

async function downloadAll(machine: GoMachine): Promise<void> {
  await go(machine, "mod", "tidy");
  await go(machine, "mod", "download", "all");
}

async function go(machine: GoMachine, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await machine.go(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

/** Those of the modules of which go has no proven record of this database. */
async function unconfirmed(machine: GoMachine, database: string, modules: readonly string[]): Promise<string[]> {
  const records = await Promise.all(modules.map((lookup) => rememberedLookup(machine, database, lookup)));
  return modules.filter((_, index) => records[index] === undefined);
}
