import { expect, test } from "vitest";
import { GitError } from "./process.ts";
import { isAbsentCommit, isDamage, remoteFailure } from "./failure.ts";

const url = "https://git.example.com/team/lib";

function failed(stderr: string): GitError {
  return new GitError("exit", "fetch", { exitCode: 128, stderr });
}

test.each([
  ["remote: Repository not found.\nfatal: repository 'https://x/' not found", "not_found"],
  ["ERROR: Repository not found.\nfatal: Could not read from remote repository.", "not_found"],
  ["fatal: unable to access 'https://x/': The requested URL returned error: 404", "not_found"],
  ["fatal: '/srv/x.git' does not appear to be a git repository", "not_found"],
  ["Gitea: Invalid repository path\nfatal: Could not read from remote repository.", "not_found"],
  ["Forgejo: Cannot find repository: team/x\nfatal: Could not read from remote repository.", "not_found"],
  ["Gogs: Repository does not exist\nfatal: Could not read from remote repository.", "not_found"],
  ["conq: repository does not exist.\nfatal: Could not read from remote repository.", "not_found"],
  ["conq: invalid repository syntax.\nfatal: Could not read from remote repository.", "not_found"],
  ["remote: ERROR: The project you were looking for could not be found or you don't have permission", "not_found"],
  ["The requested repository does not exist, or you do not have permission to access it.", "not_found"],
  ["FATAL: R any team me DENIED by fallthru\n(or you mis-spelled the reponame)", "upstream_refused"],
  ["Gitea: User: 2:me with Key: 7:key is not authorized to read team/x.", "upstream_refused"],
  ["fatal: remote error: access denied or repository not exported: /x.git", "upstream_refused"],
  ["fatal: https://x/team/info/refs not valid: is this a git repository?", "upstream_refused"],
  ["fatal: unable to update url base from redirection:\n  asked for: https://x/a", "upstream_refused"],
  ["fatal: could not read Username for 'https://x': terminal prompts disabled", "upstream_refused"],
  ["remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://x/'", "upstream_refused"],
  ["fatal: unable to access 'https://x/': The requested URL returned error: 403", "upstream_refused"],
  ["git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", "upstream_refused"],
  ["Host key verification failed.\nfatal: Could not read from remote repository.", "upstream_refused"],
  ["fatal: transport 'file' not allowed", "upstream_refused"],
  ["fatal: unable to access 'https://x/': Could not resolve host: x", "upstream_failed"],
  ["fatal: unable to access 'https://x/': The requested URL returned error: 503", "upstream_failed"],
  ["fatal: early EOF", "upstream_failed"],
  ["error: RPC failed; curl 28 Operation too slow. Less than 100 bytes/sec", "upstream_timeout"],
  ["ssh: connect to host x port 22: Connection timed out", "upstream_timeout"],
  ["error: unable to create temporary file: No space left on device", "storage_failed"],
  ["", "upstream_failed"],
])("git says %j: %s", (stderr, code) => {
  const error = remoteFailure(failed(stderr), { url, hasCredential: false });
  expect(error.code).toBe(code);
  expect(error.message.startsWith(`${url}: `)).toBe(true);
});

test("whether there was a credential decides what the operator is told", () => {
  const refusal = failed("fatal: Authentication failed for 'https://x/'");
  expect(remoteFailure(refusal, { url, hasCredential: true }).message).toContain("refuses Sluice's credential");
  expect(remoteFailure(refusal, { url, hasCredential: false }).message).toContain("[[private]]");
});

test.each([
  ["fatal: bad object 1234", true],
  ["error: packfile ./objects/pack/pack-1.pack cannot be accessed", true],
  ["error: inflate: data stream error (incorrect data check)", true],
  ["fatal: not a tree object: 1234", true],
  ["fatal: not a git repository: '/x'", true],
  ["fatal: 'origin' does not appear to be a git repository\nfatal: Could not read from remote repository.", true],
  ["fatal: transport 'file' not allowed", true],
  ["fatal: no path specified; see 'git help pull' for valid url syntax", true],
  ["fatal: transport 'http' not allowed", false],
  ["fatal: '/srv/x.git' does not appear to be a git repository", false],
  ["remote: fatal: bad object 1234\nfatal: early EOF", false],
  ["fatal: Authentication failed", false],
])("%j is damage of our own copy: %s", (stderr, expected) => {
  expect(isDamage(failed(stderr))).toBe(expected);
});

test.each([
  ["fatal: remote error: upload-pack: not our ref 1234", true],
  ["error: Server does not allow request for unadvertised object 1234", true],
  ["fatal: couldn't find remote ref 1234", true],
  ["fatal: unable to access 'https://x/': The requested URL returned error: 503", false],
  ["remote: Repository not found.\nfatal: repository 'https://x/' not found", false],
  ["fatal: early EOF", false],
])("%j says that the host has no such commit: %s", (stderr, expected) => {
  expect(isAbsentCommit(remoteFailure(failed(stderr), { url, hasCredential: false }))).toBe(expected);
});
