import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import {
  createSumScene,
  privateModule,
  publicLogName,
  rememberedLookup,
  type SumScene,
} from "../support/sumdb-scene.ts";

const publicModule = "example.com/nested/a@v1.0.0";
const modules = [publicModule, `${privateModule}@v1.1.0`];

describe.skipIf(lacks("go", ["version"]) || lacks("git"))("a Sluice that is offline", () => {
  let scene: SumScene;
  beforeEach(async () => {
    scene = await createSumScene();
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  test("serves all that it has, verified, asks nobody, and says 503 of the rest", async () => {
    const online = await scene.startSluice();
    await download(await developer(online.url));
    forgetRequests();

    const { url } = await scene.startSluice({ args: ["--offline"] });
    const client = await developer(url);
    await download(client);
    expect(await rememberedLookup(client, publicLogName, publicModule)).toBeDefined();

    for (const unknown of ["example.com/big@v1.0.0", `${privateModule}@v1.0.0`, "example.com/deprecated@latest"]) {
      // A 404 would send go to the repository itself.
      const { code, stderr } = await client.go(["mod", "download", unknown], { GOPROXY: `${url},direct` });
      expect([code, stderr], unknown).toEqual([1, expect.stringContaining("503 Service Unavailable")]);
      expect(stderr).toContain("this Sluice is offline");
      expect(stderr).not.toContain("git ");
    }
    await scene.stopSluice();
    expect([scene.upstream.requests, scene.log.requests, scene.git.requests]).toEqual([[], [], []]);
  });

  function developer(url: string): Promise<GoMachine> {
    return scene.createDeveloper({ GOPROXY: url, GOSUMDB: scene.log.verifierKey, GONOSUMDB: "github.com/corp" });
  }

  function forgetRequests(): void {
    for (const { requests } of [scene.upstream, scene.log, scene.git]) requests.length = 0;
  }
});

async function download(machine: GoMachine): Promise<void> {
  await writeFile(join(machine.dir, "go.mod"), "module example.org/app\n\ngo 1.21\n");
  const { code, stderr } = await machine.go(["get", ...modules]);
  expect(code, stderr).toBe(0);
}
