import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { lacks } from "../support/needs.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));

/** What a page of `docs/` has in a block of this language. */
async function blockOf(page: string, language: string): Promise<string> {
  const text = await readFile(path.join(repository, "docs", page), "utf8");
  const block = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "ms").exec(text)?.[1];
  if (block === undefined) throw new Error(`docs/${page} has no block of ${language}`);
  return block;
}

async function fileWith(text: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-recipe-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, "recipe");
  await writeFile(file, text, { mode: 0o644 });
  return file;
}

/** Everything it wrote, and how it ended. */
function run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return new Promise<{ readonly code: number | string; readonly output: string }>((resolve) => {
    execFile(program, args, { cwd: repository, env: { PATH: process.env["PATH"] ?? "", ...env } }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, output: `${out}${err}` }),
    );
  });
}

describe("docs/deployment.md", () => {
  test.skipIf(lacks("keepalived"))("keepalived takes its configuration", async () => {
    const recipe = await blockOf("deployment.md", "keepalived");
    const check = async (text: string): Promise<string> => {
      // It ends its whole process group with it, so it gets one of its own.
      const args = ["--wait", "keepalived", "--config-test", "--use-file", await fileWith(text)];
      return (await run("setsid", args)).output;
    };
    expect(await check(recipe)).toBe("");
    expect(await check(recipe.replace("priority", "prioritie"))).toContain("prioritie");
  });

  test.skipIf(lacks("haproxy", ["-v"]))("HAProxy takes the backend of Consul's nodes in place of its own", async () => {
    const shipped = await readFile(path.join(repository, "deploy/haproxy.cfg"), "utf8");
    const front = shipped.slice(0, shipped.indexOf("\nbackend sluice"));
    const file = await fileWith(`${front}\n${await blockOf("deployment.md", "haproxy")}`);
    expect((await run("haproxy", ["-c", "-f", file])).output).toContain("Configuration file is valid");
  });
});

describe("deploy/", () => {
  const unit = "deploy/sluice.service";

  test.skipIf(lacks("systemd-analyze"))("systemd takes the unit, and finds it confined", async () => {
    const { output } = await run("systemd-analyze", ["verify", unit]);
    // The only thing that this machine does not have.
    expect(output.trim()).toBe("sluice.service: Command /usr/bin/sluice is not executable: No such file or directory");
    // Tenths; what systemd calls OK begins at 5.
    const { code } = await run("systemd-analyze", ["security", "--offline=true", "--threshold=25", unit]);
    expect(code).toBe(0);
  });

  test.skipIf(lacks("docker-compose"))("Compose takes the file, and says what it needs", async () => {
    const args = ["-f", "deploy/compose.yaml", "config", "--quiet"];
    const unset = await run("docker-compose", args);
    expect(unset.output).toMatch(/SLUICE_S3_SECRET.*put it into deploy\/\.env/);
    const set = await run("docker-compose", args, { SLUICE_S3_SECRET: "one", SLUICE_DATABASE_PASSWORD: "two" });
    expect(set).toEqual({ code: 0, output: "" });
  });

  test.skipIf(lacks("npm"))(
    "the npm package has it, and not the secrets that stand beside it for Compose",
    async () => {
      const folder = await mkdtemp(path.join(tmpdir(), "sluice-package-"));
      onTestFinished(() => rm(folder, { recursive: true, force: true }));
      await cp(path.join(repository, "package.json"), path.join(folder, "package.json"));
      await cp(path.join(repository, "deploy"), path.join(folder, "deploy"), { recursive: true });
      await writeFile(path.join(folder, "deploy/.env"), "SLUICE_S3_SECRET=one\n");
      const { output } = await run("npm", ["pack", folder, "--dry-run", "--ignore-scripts"], { HOME: folder });
      expect(output).toContain("deploy/sluice.service");
      expect(output).not.toContain(".env");
    },
  );

  test("Sluice takes all settings of the Compose file", async () => {
    const compose = await readFile(path.join(repository, "deploy/compose.yaml"), "utf8");
    const node = compose.slice(compose.indexOf("environment: &settings"), compose.indexOf("volumes: [sluice-1"));
    const lines = [...node.matchAll(/^ +([A-Z][A-Z0-9_]+): (?:&\S+ )?(.+)$/gm)];
    const env = Object.fromEntries(
      lines.map(([, name = "", value = ""]) => [name, value.replace(/^\$\{.*/, "secret")]),
    );
    expect(Object.keys(env)).toEqual(
      expect.arrayContaining(["SLUICE_BUCKET_URL", "SLUICE_DATABASE_URL", "PGPASSWORD"]),
    );
    const { code, stdout, stderr } = await runCli(["config", "print"], { cwd: repository, env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`endpoint = "${env["SLUICE_BUCKET_ENDPOINT"]}"`);
    expect(stdout).toContain("env SLUICE_DATABASE_URL");
  });
});
