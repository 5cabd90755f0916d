import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { SluiceError } from "../../core/errors.ts";
import type { Environment } from "../../net/egress.ts";
import { configLine, ownConfig } from "./own-config.ts";
import { createLimit } from "./limit.ts";
import { onDisk, prepareOnce } from "./prepare-once.ts";
import {
  type GitService,
  oldestGit,
  type ProcessRun,
  type Program,
  runProcess,
  type ServiceRun,
  startService,
} from "./process.ts";

export interface GitCommandOptions {
  /** Git's HOME: made when it is missing, with a configuration of our own and nothing of the machine's. */
  readonly home: string;
  /** Of this process: PATH, proxies and certificates are passed on, nothing else. */
  readonly env: Environment;
  /** PEM file of the authorities that hosts are checked against; without one, git's own choice. */
  readonly caFile?: string | undefined;
  /** For tests: `file://` repositories. Never for what clients name. */
  readonly allowFileProtocol?: boolean;
  /** For tests: more configuration, such as `url.X.insteadOf`. */
  readonly config?: readonly (readonly [key: string, value: string])[];
  readonly executable?: string;
}

export interface GitRun extends ProcessRun {
  readonly gitDir?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The scheme of the remote that may be talked to; without one, git may talk to nobody. */
  readonly scheme?: string | undefined;
  /** It is no work of a request, and whoever runs it sees to it that there are few at a time. */
  readonly isUpkeep?: boolean | undefined;
}

export interface GitServiceRun extends ServiceRun {
  readonly gitDir?: string | undefined;
}

/** The one way to start git: no prompts, no hooks, no settings of the machine, bounded time and output, its whole group ended. */
export interface GitCommand {
  /** Standard output. Fails with `GitError`, or as the signal says. */
  run(run: GitRun): Promise<Buffer>;
  /** Starts one that goes on until it is ended. It talks to no remote. Fails when it cannot be started. */
  start(run: GitServiceRun): Promise<GitService>;
  /** Fails with `upstream_failed` when there is no git, or one older than 2.39. Asked once, as long as the answer is yes. */
  check(): Promise<void>;
}

/** GNU and BSD names both; curl reads most of them in lower case only. */
const passedOn = ["PATH", "TMPDIR", "SystemRoot", "http_proxy", "https_proxy", "no_proxy", "all_proxy"];

export function createGitCommand(options: GitCommandOptions): GitCommand {
  const executable = options.executable ?? "git";
  const configFile = join(options.home, "gitconfig");
  const base = baseEnvironment(options, configFile);
  const local = createLimit(Math.max(4, 2 * availableParallelism()));
  const prepared = prepareOnce(() => prepare(options, configFile));
  const checked = prepareOnce(() => checkVersion({ executable, cwd: "/" }, base));

  return {
    async run(run) {
      await prepared();
      const start = (): Promise<Buffer> =>
        runProcess({ executable, cwd: options.home }, run, { ...base, ...environmentOf(run, options) });
      return run.scheme === undefined && run.isUpkeep !== true ? local(start) : start();
    },
    async start(run) {
      await prepared();
      return startService({ executable, cwd: options.home }, run, { ...base, ...environmentOf(run, options) });
    },
    check: checked,
  };
}

async function prepare({ home, config = [] }: GitCommandOptions, configFile: string): Promise<void> {
  const lines = [...ownConfig, ...config].map(([key, value]) => configLine(key, value));
  await onDisk(`git's home ${home} cannot be written`, async () => {
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(configFile, lines.join(""), { mode: 0o600 });
  });
}

function baseEnvironment({ home, env, caFile }: GitCommandOptions, configFile: string): Record<string, string> {
  const base: Record<string, string> = {
    HOME: home,
    XDG_CONFIG_HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: configFile,
    GIT_ATTR_NOSYSTEM: "1",
    // Together with the working directory: a repository around the data folder is none of ours.
    GIT_CEILING_DIRECTORIES: dirname(home),
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "",
    SSH_ASKPASS: "",
    GCM_INTERACTIVE: "never",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_LITERAL_PATHSPECS: "1",
    GIT_LFS_SKIP_SMUDGE: "1",
    LC_ALL: "C",
    TZ: "UTC",
  };
  for (const name of passedOn) {
    const value = env[name] ?? env[name.toUpperCase()];
    if (value !== undefined && value !== "") base[name] = value;
  }
  const certificates = caFile ?? env["SSL_CERT_FILE"];
  if (certificates !== undefined && certificates !== "") base["GIT_SSL_CAINFO"] = certificates;
  const folder = env["SSL_CERT_DIR"];
  if (caFile === undefined && folder !== undefined && folder !== "") base["GIT_SSL_CAPATH"] = folder;
  return base;
}

function environmentOf(
  run: Pick<GitRun, "env" | "gitDir" | "scheme">,
  options: GitCommandOptions,
): Record<string, string> {
  const env: Record<string, string> = { ...run.env };
  if (run.gitDir !== undefined) env["GIT_DIR"] = run.gitDir;
  env["GIT_ALLOW_PROTOCOL"] = allowedProtocols(run.scheme, options.allowFileProtocol === true);
  return env;
}

/** A redirect or an `insteadOf` cannot lead to another protocol than the one that was checked. */
function allowedProtocols(scheme: string | undefined, isFileAllowed: boolean): string {
  if (scheme === undefined) return "none";
  if (isFileAllowed) return "file:http:https:ssh:git";
  if (scheme === "git+ssh" || scheme === "ssh+git") return "ssh";
  return ["https", "http", "ssh", "git"].includes(scheme) ? scheme : "none";
}

async function checkVersion(program: Program, env: Record<string, string>): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  const run = { args: ["version"], signal, timeoutMs: 10_000 };
  const said = (await runProcess(program, run, env)).toString("utf8").trim();
  const [, major, minor] = /git version (\d+)\.(\d+)/.exec(said) ?? [];
  const [oldestMajor, oldestMinor] = oldestGit;
  const isOld = Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor);
  if (major !== undefined && !isOld) return;
  throw new SluiceError(
    "upstream_failed",
    `this machine's git is too old for Sluice (${JSON.stringify(said)}); install git ${oldestGit.join(".")} or newer`,
  );
}
