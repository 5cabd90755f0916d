import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CliResult, runCli } from "../support/cli.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { closedPort, listen } from "../support/loopback.ts";
import { ask } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

let upstream: FixtureUpstream;
let sluice: RunningSluice;
let cwd: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "sluice-cli-"));
  upstream = await startFixtureUpstream();
  sluice = await startSluiceProcess({ upstream: upstream.url, args: ["--base-path", "/go"] });
});
afterAll(async () => {
  await sluice.stop();
  await upstream.close();
  await rm(cwd, { recursive: true });
});

/** On the same machine: with its data folder and address, and nothing else. */
function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return runCli(args, { cwd, env: { ...settings(), ...env } });
}

function settings(): Record<string, string> {
  return {
    SLUICE_DATA_DIR: sluice.dataDir,
    SLUICE_LISTEN: new URL(sluice.url).host,
    SLUICE_BASE_PATH: "/go",
    GOPROXY: sluice.url,
  };
}

describe("sluice purge", () => {
  test("has a module asked for anew", async () => {
    const path = "/go/example.com/leaf/@v/list";
    for (const cache of ["miss", "hit"]) expect((await ask(sluice.url, path)).headers["x-sluice-cache"]).toBe(cache);
    expect(await run(["purge", "example.com/leaf"])).toStrictEqual({
      code: 0,
      stdout:
        "Purged example.com/leaf: whoever asks next has it asked for anew. 1 stored answer may be old from now on; forgotten 0 times “not found”.\n",
      stderr: "",
    });
    expect((await ask(sluice.url, path)).headers["x-sluice-cache"]).toBe("revalidated");
  });

  test.each([
    [["example.com/leaf@v1.0.0"], "Purged example.com/leaf/@v/v1.0.0.info, example.com/leaf/@v/v1.0.0.mod,"],
    [["example.com/leaf@latest"], "Purged example.com/leaf/@latest:"],
    [["example.com/leaf", "--negatives"], "Purged example.com/leaf, only what is remembered as missing:"],
    [["--pattern", "example.com/*,*.corp"], "Purged modules of example.com/*,*.corp:"],
  ])("%j names what it purged", async (args, text) => {
    const { code, stdout } = await run(["purge", ...args]);
    expect(code).toBe(0);
    expect(stdout).toContain(text);
  });

  test.each([
    [[], "what is to be purged is missing; name a module, such as sluice purge example.com/mod, or --pattern"],
    [["a.example/m", "--pattern", "b"], "a module and --pattern exclude each other; run sluice purge once for each"],
    [
      ["a.example/m", "--url", "somewhere"],
      '--url "somewhere" is no address; write it as in GOPROXY, such as http://127.0.0.1:3000',
    ],
  ])("%j is refused in words", async (args, sentence) => {
    expect(await run(["purge", ...args])).toStrictEqual({ code: 2, stdout: "", stderr: `sluice: ${sentence}\n` });
  });

  test("says what the server does not like", async () => {
    const { code, stderr } = await run(["purge", "nodots"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^sluice: http:\/\/127\.0\.0\.1:\d+\/go: .*nodots.*\n$/);
  });
});

describe("sluice offline", () => {
  test("turns the switch, and says so", async () => {
    expect((await run(["offline", "on"])).stdout).toBe(
      "Sluice is now offline: it serves what is stored, and asks nobody.\nThat is this node only: if there are others, say it to each of them.\n",
    );
    expect((await run(["status"])).stdout).toContain("offline   yes");
    expect((await ask(sluice.url, "/go/example.com/pseudo/@v/list")).status).toBe(503);
    expect((await run(["offline", "off"])).stdout).toContain("Sluice is now online: it asks its sources.\n");
    expect((await run(["offline", "off"])).stdout).toContain("already online");
    expect((await ask(sluice.url, "/go/example.com/pseudo/@v/list")).status).toBe(200);
    expect((await run(["offline", "maybe"])).code).toBe(2);
  });
});

describe("sluice status", () => {
  test("shows a table, or JSON", async () => {
    const { code, stdout } = await run(["status"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`at ${sluice.url}\n\n  state     serving\n`);
    expect(stdout).toContain(`  chain     ${upstream.url}\n`);
    expect(stdout).toMatch(/^ {2}ok +store \/.+ can be read and written$/m);
    expect(JSON.parse((await run(["status", "--json"])).stdout)).toMatchObject({ url: sluice.url });
  });

  test("finds a Sluice elsewhere by its address and token", async () => {
    const elsewhere = { SLUICE_DATA_DIR: cwd, SLUICE_LISTEN: ":1", SLUICE_BASE_PATH: "" };
    const missing = await run(["status", "--url", sluice.url], elsewhere);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain(`no admin.token in ${cwd}; name the data folder`);
    const wrong = await run(["status", "--url", sluice.url], {
      ...elsewhere,
      SLUICE_ADMIN_TOKEN: "of-no-use-to-anyone",
    });
    expect(wrong).toMatchObject({ code: 2, stdout: "" });
    expect(wrong.stderr).toContain("this is not the admin token of this Sluice");
    expect(wrong.stderr).not.toContain("of-no-use");
  });

  test("says so where none is running", async () => {
    const { code, stderr } = await run(["status"], { SLUICE_LISTEN: `127.0.0.1:${await closedPort()}` });
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^sluice: no Sluice answers at http:\/\/127\.0\.0\.1:\d+\/go \(.*refused.*\); start it, or say where it is with --url\n$/,
    );
  });

  test("says so where something else is", async () => {
    const other = await listen(
      createServer((_request, response) => response.end("<html>")),
      "http",
    );
    const { code, stderr } = await run(["status", "--url", other.url("").href]);
    expect(code).toBe(2);
    expect(stderr).toContain("(with status 200) is no Sluice, or an older one");
  });

  test("needs an address where the configuration has any free port", async () => {
    expect((await run(["status"], { SLUICE_LISTEN: "127.0.0.1:0" })).stderr).toContain("say where it is with --url");
  });
});
