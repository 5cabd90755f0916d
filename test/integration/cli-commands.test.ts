import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { runCli } from "../support/cli.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
let cwd: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "sluice-cli-"));
  await writeFile(join(cwd, "good.toml"), '[freshness]\nttl = "5s"\n');
  await writeFile(join(cwd, "bad.toml"), '[freshness]\ntll = "5s"\n');
  await writeFile(join(cwd, "token"), "hunter2\n");
  await writeFile(
    join(cwd, "secrets.toml"),
    '[[upstream.override]]\nurl = "https://a.example.com"\nusername = "me"\npassword_file = "token"\n',
  );
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

describe("version", () => {
  it.each([["version"], ["--version"]])("%s names Sluice and Node.js", async (...args) => {
    const { code, stdout, stderr } = await runCli(args, { cwd });
    expect({ code, stderr }).toStrictEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(
      `sluice ${manifest.version} (Node.js ${process.versions.node}, ${process.platform} ${process.arch})\n`,
    );
  });
});

describe("help", () => {
  it.each([
    [["--help"], ["sluice serve", "export GOPROXY=http://127.0.0.1:3000", "config", "Exit codes"]],
    [
      ["serve", "--help"],
      ["--listen <host:port>", "SLUICE_LISTEN", "--data-dir", "--chain", "--log-level", "SIGTERM"],
    ],
    [["help", "serve"], ["--listen <host:port>"]],
    [["config", "print", "--help"], ["--config <file>"]],
  ])("%j says what there is", async (args, texts) => {
    const { code, stdout } = await runCli(args, { cwd });
    expect(code).toBe(0);
    for (const text of texts) expect(stdout).toContain(text);
  });

  it("is what no command at all gets, with the exit code of wrong usage", async () => {
    const { code, stderr } = await runCli([], { cwd });
    expect(code).toBe(2);
    expect(stderr).toContain("Usage: sluice");
  });
});

describe("config check", () => {
  it.each([
    [
      [],
      {},
      "The configuration is fine (no file, so environment and defaults). Sluice would listen on 127.0.0.1:3000.\n",
    ],
    [
      ["--config", "good.toml"],
      { SLUICE_LISTEN: "[::1]:8080" },
      "The configuration is fine (good.toml). Sluice would listen on [::1]:8080.\n",
    ],
    [
      [],
      { SLUICE_CONFIG: "good.toml" },
      "The configuration is fine (good.toml). Sluice would listen on 127.0.0.1:3000.\n",
    ],
  ])("%j with %j is fine", async (args, env, stdout) => {
    expect(await runCli(["config", "check", ...args], { cwd, env })).toStrictEqual({ code: 0, stdout, stderr: "" });
  });
});

describe("wrong input is exit code 2, one sentence and a suggestion", () => {
  const check = ["config", "check"];
  it.each([
    [["serv"], {}, "unknown command 'serv'; did you mean serve?"],
    [["config", "show"], {}, "unknown command 'show'; see sluice --help"],
    [["serve", "--lisen", ":1"], {}, "unknown option '--lisen'; did you mean --listen?"],
    [["serve", "--listen"], {}, "option '--listen <host:port>' argument missing; see sluice --help"],
    [
      ["version", "please"],
      {},
      "too many arguments for 'version'. Expected 0 arguments but got 1: please; see sluice --help",
    ],
    [[...check, "--config", "bad.toml"], {}, "bad.toml:2: [freshness] has no tll; did you mean ttl?"],
    [
      [...check, "--config", "gone.toml"],
      {},
      'the configuration file "gone.toml" (--config) does not exist; check the path',
    ],
    [[...check, "--config", "."], {}, 'the configuration file "." (--config) is a folder; name a file'],
    [
      check,
      { SLUICE_DATADIR: "x" },
      "SLUICE_DATADIR in the environment is no setting of Sluice; did you mean SLUICE_DATA_DIR?",
    ],
    [
      check,
      { GOPROXY: "http://127.0.0.1:3000" },
      "GOPROXY=http://127.0.0.1:3000 in this shell points at Sluice itself; start it with SLUICE_UPSTREAM_CHAIN=https://… (where it is to fetch from), or unset GOPROXY",
    ],
    [
      ["serve"],
      { GOPROXY: "http://localhost:8080,direct", SLUICE_LISTEN: ":8080" },
      "GOPROXY=http://localhost:8080 in this shell points at Sluice itself; start it with SLUICE_UPSTREAM_CHAIN=https://… (where it is to fetch from), or unset GOPROXY",
    ],
  ])("%j with %j", async (args, env, sentence) => {
    expect(await runCli(args, { cwd, env })).toStrictEqual({ code: 2, stdout: "", stderr: `sluice: ${sentence}\n` });
  });

  it("puts every mistake on a line of its own", async () => {
    const { code, stderr } = await runCli(["config", "check", "--ttl", "x", "--memory", "y"], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(/^sluice: --memory "y" .*\nsluice: --ttl "x" .*\n$/);
  });
});

describe("config print", () => {
  it("prints a file that can be used again, with the origin of every value", async () => {
    const env = { SLUICE_LISTEN: "[::1]:8080", GOPROXY: "https://a.example.com,direct" };
    const { code, stdout } = await runCli(["config", "print", "--config", "good.toml", "--log-level", "warn"], {
      cwd,
      env,
    });
    expect(code).toBe(0);
    for (const line of [
      /^listen = "\[::1\]:8080" +# env SLUICE_LISTEN$/m,
      /^ttl = "5s" +# good.toml:2$/m,
      /^chain = "https:\/\/a.example.com,direct" +# env GOPROXY$/m,
      /^level = "warn" +# --log-level$/m,
      /^memory = "256MiB" +# default$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    await writeFile(join(cwd, "printed.toml"), stdout);
    const again = await runCli(["config", "print", "--config", "printed.toml"], { cwd });
    expect(again.stdout.replace(/ *#.*/g, "")).toBe(stdout.replace(/ *#.*/g, ""));
  });

  it.each([["print"], ["check"]])("config %s shows no secret", async (command) => {
    const env = { GOPROXY: "https://a.example.com,https://me:hunter2@b.example.com/?token=hunter2" };
    const { code, stdout, stderr } = await runCli(["config", command, "--config", "secrets.toml"], { cwd, env });
    expect(code).toBe(0);
    expect(stdout + stderr).not.toContain("hunter2");
  });

  it.each([
    [{ GOPROXY: "https://me:hunter2@b.example.com:port" }],
    [{ GOPROXY: "https://me:hun,hunter2@b.example.com" }],
    [{ GOPROXY: "htps://me:hunter2@b.example.com" }],
    [{ GOPROXY: "http://me:hunter2@127.0.0.1:3000" }],
    [{ SLUICE_TOKEN: "hunter2" }],
    [{ SLUICE_UPSTREAM_OVERRIDE: '[{ url = "https://me:hunter2@b.example.com", password = "hunter2" }]' }],
    [{ SLUICE_UPSTREAM_OVERRIDE: '[{ url = "https://b.example.com", password_env = "hunter2" ' }],
  ])("a mistake shows no secret either: %j", async (env) => {
    const { code, stdout, stderr } = await runCli(["config", "print"], { cwd, env });
    expect(code).toBe(2);
    expect(stdout + stderr).not.toContain("hunter2");
  });
});

describe("an old Node.js", () => {
  it.each([["bin/sluice.js"], ["src/cli/main.ts"]])("%s says so in one sentence", async (script) => {
    const pretend = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'22.18.0'}})";
    const nodeArgs = ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`];
    expect(await runCli(["version"], { cwd, script: join(repository, script), nodeArgs })).toStrictEqual({
      code: 2,
      stdout: "",
      stderr:
        "sluice: this is Node.js 22.18.0, and Sluice needs 24 or newer; in a checkout, `npm ci && npm start` brings its own\n",
    });
  });

  it("is not this one: bin/sluice.js runs, through a link too", async () => {
    const link = join(cwd, "sluice.js");
    await symlink(join(repository, "bin/sluice.js"), link);
    await expect(runCli(["version"], { cwd, script: link })).resolves.toMatchObject({ code: 0, stderr: "" });
  });
});

describe("generated documentation", () => {
  it("is up to date", async () => {
    const result = await runCli(["--check"], { cwd, script: join(repository, "tools/docs.ts") });
    expect(result).toStrictEqual({ code: 0, stdout: "", stderr: "" });
  });
});
