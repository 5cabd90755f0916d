import { isSluiceError, SluiceError } from "../../core/errors.ts";
import { GitError } from "./process.ts";

/** What is known of a remote when git fails with it. */
export interface FailureContext {
  /** Printable. */
  readonly url: string;
  readonly hasCredential: boolean;
}

/** What git's words on standard error mean. The first that matches decides. */
const meanings: readonly (readonly [RegExp, keyof typeof outcomes])[] = [
  [/no space left on device|disk quota exceeded|file too large|read-only file system/i, "disk"],
  [/host key verification failed|remote host identification has changed|no .* host key is known/i, "hostKey"],
  // The group of a repository has none of its own.
  [/invalid repository (path|syntax)/i, "absent"],
  // Gitolite says one and the same of what is not there and of what it does not show: that is no "no".
  [/\bDENIED by (fallthru|refex|default)|is not authorized to (read|access)/i, "refused"],
  [
    /authentication failed|could not read (username|password)|permission denied \((publickey|password|keyboard)|http basic: access denied|returned error: (401|403|407)|terminal prompts disabled|invalid credentials|access denied/i,
    "refused",
  ],
  [
    /repository not found|repository '.*' not found|cannot find repository|repository .*does not exist|no repository ".*" exists|returned error: (404|410)|does not appear to be a git repository|(project|group|namespace) you were looking for could not be found|no such repository/i,
    "absent",
  ],
  [/not valid: is this a git repository|unable to update url base from redirection/i, "page"],
  [/transport '.*' not allowed|protocol '.*' not allowed|unsupported protocol/i, "protocol"],
  [/timed out|operation too slow|timeout was reached/i, "timeout"],
];

const outcomes = {
  disk: "storage_failed",
  hostKey: "upstream_refused",
  refused: "upstream_refused",
  absent: "not_found",
  page: "upstream_refused",
  protocol: "upstream_refused",
  timeout: "upstream_timeout",
} as const;

/** Words of a mirror that lost some of its files. Without its remote's URL git takes `origin` for a folder. */
const damage =
  /bad object|not a (valid|tree|commit) object|not a valid object name|corrupt|packfile .* (cannot be accessed|is far too short|does not match)|inflate: data stream error|object file .* is empty|unable to (read|parse) (tree|sha1|sha256|object|commit)|missing (blob|tree|commit|object)|could not parse|not a git repository|bad (config|tree|signature)|index file .* is too small|failed to (read|unpack)|wrong index|non-monotonic|unresolved deltas|broken (link|ref)|bad ref|invalid sha1 pointer|fatal: shallow file|loose object .* is corrupt|missing necessary objects|'origin' does not appear to be a git repository|transport 'file' not allowed|no path specified/i;

export function isDamage(error: GitError): boolean {
  // What the host says about its own copy stands behind `remote:`.
  return error.failure === "exit" && damage.test(error.stderr.replace(/^remote:.*$/gm, ""));
}

/** The host answered, and has no such commit, or shows it to nobody. */
export function isAbsentCommit(error: unknown): boolean {
  if (!isSluiceError(error) || !(error.cause instanceof GitError) || error.cause.failure !== "exit") return false;
  return /not our ref|couldn't find remote ref|unadvertised object|no such remote ref/i.test(error.cause.stderr);
}

/** What an operator and a client are told of a remote that git could not read. */
export function remoteFailure(error: GitError, { url, hasCredential }: FailureContext): SluiceError {
  const context = { cause: error, details: { upstream: url, hasCredential } };
  if (error.failure === "timeout") {
    return new SluiceError("upstream_timeout", `${url}: git did not finish in time`, context);
  }
  if (error.failure === "too_large") {
    return new SluiceError("upstream_invalid", `${url}: answered more than any repository should`, context);
  }
  const meaning = meanings.find(([pattern]) => pattern.test(error.stderr))?.[1];
  if (meaning === undefined) return new SluiceError("upstream_failed", `${url}: ${reasonOf(error)}`, context);
  return new SluiceError(outcomes[meaning], `${url}: ${sentenceOf(meaning, hasCredential, error)}`, context);
}

/** A refused SSH host key, with its fingerprint; undefined when it is something else that went wrong, or nobody can tell. */
export async function hostKeyFailure(
  error: unknown,
  {
    url,
    explain,
    signal,
  }: {
    readonly url: string;
    readonly explain: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
    readonly signal: AbortSignal;
  },
): Promise<SluiceError | undefined> {
  if (!(error instanceof GitError) || !/host key verification failed/i.test(error.stderr)) return undefined;
  const sentence = await explain?.(signal);
  if (sentence === undefined) return undefined;
  return new SluiceError("upstream_refused", `${url}: ${sentence}`, { cause: error, details: { upstream: url } });
}

function sentenceOf(meaning: keyof typeof outcomes, hasCredential: boolean, error: GitError): string {
  if (meaning === "refused" && !hasCredential) {
    return "the host asks for credentials, and Sluice has none for it; give it one with a [[private]] rule that matches the module path";
  }
  if (meaning === "protocol") return `${reasonOf(error)}; Sluice speaks https and ssh to git hosts`;
  return sentences[meaning];
}

const sentences = {
  disk: "the disk of the git mirrors is full or cannot be written",
  hostKey:
    "the host's SSH key is not the known one, so that nothing was sent; compare its fingerprint and put it into the known hosts file",
  refused: "the host refuses Sluice's credential for it; check that it is valid and may read this repository",
  absent: "the host says that there is no such repository",
  page: "the host answers with a web page, perhaps to log in, and not as a git repository; check the address and the credential",
  timeout: "the host did not answer in time",
} as const;

/** The last line that says what was fatal. */
function reasonOf({ stderr, exitCode }: GitError): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((text) => /^(fatal|error|ERROR|remote)/.test(text)) ?? lines.at(-1);
  return line === undefined ? `git ended with ${exitCode}` : line.replace(/^(fatal|error): /, "").slice(0, 300);
}
