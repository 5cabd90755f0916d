import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { lacks } from "./needs.ts";

// Programs of test/oracle answer what golang.org/x/mod answers, so that tests can compare. They are built here, once per
// test process, with the machine's own `go`; golang.org/x/mod comes through whatever `go env GOPROXY` says.

const oracleFolder = path.resolve(import.meta.dirname, "../oracle");
const binaryFolder = path.resolve(import.meta.dirname, "../../node_modules/.cache/sluice-oracle");
const buildTimeoutMs = 180_000;
const built = new Map<string, string>();

/**
 * Tells whether the oracles cannot be had: no `go`, or no way to golang.org/x/mod. Like `lacks`, it throws under
 * `SLUICE_TEST_REQUIRE=all`.
 *
 * @example describe.skipIf(lacksOracles())("as x/mod does", …)
 */
export function lacksOracles(): boolean {
  if (lacks("go", ["version"])) return true;
  const { status, stderr } = go(["mod", "download"]);
  if (status === 0) return false;
  const reason = `test/oracle: \`go mod download\` failed: ${stderr.trim()}`;
  if (process.env["SLUICE_TEST_REQUIRE"] === "all") throw new Error(reason);
  console.warn(reason);
  return true;
}

/** Builds the main package `test/oracle/<name>` and answers the path of the program. An oracle that does not compile throws. */
export function buildOracle(name: string): string {
  const known = built.get(name);
  if (known !== undefined) return known;
  mkdirSync(binaryFolder, { recursive: true });
  // Test processes build side by side: each links its own file, and the rename replaces one that may be running.
  const workFolder = mkdtempSync(path.join(binaryFolder, `${name}-`));
  try {
    const fresh = path.join(workFolder, name);
    const { status, stderr } = go(["build", "-buildvcs=false", "-trimpath", "-o", fresh, `./${name}`]);
    if (status !== 0) throw new Error(`test/oracle/${name} does not build: ${stderr.trim()}`);
    const program = path.join(binaryFolder, name);
    renameSync(fresh, program);
    built.set(name, program);
    return program;
  } finally {
    rmSync(workFolder, { recursive: true, force: true });
  }
}

/** Asks the oracle all requests in one run, one JSON line each, and answers its JSON lines, in the same order. */
export function askOracle(name: string, requests: readonly unknown[]): unknown[] {
  const program = buildOracle(name);
  const input = requests.map((request) => `${JSON.stringify(request)}\n`).join("");
  const { error, status, stdout, stderr } = spawnSync(program, [], {
    input,
    encoding: "utf8",
    env: goEnv(),
    maxBuffer: 1 << 30,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`oracle ${name} ended with ${status}: ${stderr.trim()}`);
  const answers = stdout
    .split("\n")
    .slice(0, -1)
    .map((line): unknown => JSON.parse(line));
  if (answers.length !== requests.length) {
    throw new Error(`oracle ${name} gave ${answers.length} answers to ${requests.length} requests`);
  }
  return answers;
}

function go(args: readonly string[]): { status: number | null; stderr: string } {
  const { error, status, stderr } = spawnSync("go", args, {
    cwd: oracleFolder,
    env: goEnv(),
    encoding: "utf8",
    timeout: buildTimeoutMs,
  });
  return { status, stderr: error === undefined ? stderr : `${error.message} ${stderr}` };
}

/** Without Go's variables `go` falls back to what the machine has configured with `go env -w`, then to its defaults. */
function goEnv(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^GO[A-Z0-9]+$/.test(name));
  return { ...Object.fromEntries(kept), GOWORK: "off", CGO_ENABLED: "0" };
}
