import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { gitFixtures } from "../support/git-fixtures.ts";
import { buildRepo, runGit } from "../support/git-repos.ts";
import { startGitServer } from "../support/git-server.ts";
import { lacksSsh, startSshServer } from "../support/ssh-server.ts";

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-fixture-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** From the vectors of SPEC §10.3 and from Go's own fixtures. */
const knownRefs = [
  ["semver-branch", "refs/heads/v1.0.0", "09c4d8f6938c7b5eeae46858a72712b8700fa46a"],
  ["semver-branch", "refs/tags/v4.0.0-beta.1", "d59622f6e4d77f008819083582fde71ea1921b0c"],
  ["v2sub", "refs/heads/main", "80beb17a16036f17a5aedd1bb5bd6d407b3c6dc5"],
  ["v2sub", "refs/tags/v2.0.0", "5fcd3eaeeb391d399f562fd45a50dac9fc34ae8b"],
  ["odd-tags", "refs/heads/main", "9d863d525bbfcc8eda09364738c4032393711a56"],
  ["odd-tags", "refs/tags/v3.0.0-20220223184802-12d19af20458", "cce3d0f5d2ec85678cca3c45ac4a87f3be5efaca"],
  ["commit-after-tag", "refs/heads/master", "b325d8217783"],
  ["commit-after-tag", "refs/tags/v1.0.0", "8da67e0"],
  ["no-tags", "refs/heads/master", "e706ba1d9f6d"],
  ["tagtests", "refs/heads/master", "c7818c24fa2f3f714c67d0a6d3e411c85a518d1f"],
  ["tagtests", "refs/heads/b", "59356c8cd18c5fe9a598167d98a6843e52d57952"],
  ["prefixtagtests", "refs/heads/master", "c3ee5d0dfbb9bf3c4d8bb2bce24cd8d14d2d4238"],
  ["prefixtagtests", "refs/tags/sub/v0.0.9", "883885166298d79a0561d571a3044ec5db2e7c28"],
  ["retract-pseudo", "refs/heads/main", "713affd19d7b9b6dc876b603017f3dcaab8ba674"],
  ["retract-pseudo", "refs/tags/v1.0.0", "64c061ed4371ef372b6bbfd58ee32015d6bfc3e5"],
  ["gitrepo1", "refs/heads/v2", "9d02800338b8a55be062c838d1f02e0c5780b9eb"],
  ["gitrepo1", "refs/heads/v3", "a8205f853c297ad2c3c502ba9a355b35b7dd3ca5"],
  ["gitrepo1", "refs/tags/v1.2.4-annotated", "b004e48a345a86ed7a2fb7debfa7e0b2f9b0dd91"],
  ["gitrepo-sha256", "refs/heads/basic_module", "a9157cad2aa6dc2f78aa31fced5887f04e758afa8703f04d0178702ebf04ee17"],
  ["gitrepo-sha256", "refs/tags/v1.2.4-annotated", "f88263be2704531e0f664784b66c2f84dea6d0dc4231cf9c6be482af0400c607"],
  ["hello", "refs/heads/master", "fc3a09f3dc5cfe0d7a743ea18f1f5226e68b3777"],
  ["v2module", "refs/heads/master", "203b91c896acd173aa719e4cdcb7d463c4b090fa"],
  ["gitreposubdirv2", "refs/heads/master", "5212d800bfd1f6377da46aee6cbceca2f60d4ea6"],
  ["querytest", "refs/heads/master", "ed5ffdaa1f5e7e0be6f5ba2d63097026506224f2"],
  ["querytest", "refs/heads/v2", "feed8f518cf4a7215a3b2a8268b8b0746dcbb12d"],
  ["querytest", "refs/tags/v2.6.0-pre1", "fb9e35b393eb0cccc37e13e243ce60b4ff8c7eea"],
] as const;

it("makes repositories whose hashes are those of the vectors", async () => {
  const folder = await temporaryFolder();
  const refs: Record<string, Readonly<Record<string, string>>> = {};
  for (const [name, description] of Object.entries(gitFixtures)) {
    const repo = await buildRepo(join(folder, `${name}.git`), description);
    refs[name] = await repo.refs();
    await repo.git(["fsck", "--strict", "--no-dangling"]);
  }
  const found = knownRefs.map(([name, ref, hash]) => [name, ref, refs[name]?.[ref]?.slice(0, hash.length)]);
  expect(found).toEqual(knownRefs);
  expect(Object.keys(refs["vgotest1-like"] ?? {})).toHaveLength(18);
}, 60_000);

it("serves them over HTTP to those who have a password, records requests, and fails as told", async () => {
  const root = await temporaryFolder();
  const repo = await buildRepo(join(root, "team/lib.git"), gitFixtures.tagtests);
  const server = await startGitServer({ root, credentials: [{ username: "me", password: "hunter2" }] });
  onTestFinished(() => server.close());
  const url = (userinfo = ""): string => `http://${userinfo}${server.host}/team/lib.git`;
  const list = (userinfo?: string): Promise<string> => runGit(root, ["ls-remote", url(userinfo)]);

  await expect(list("me:wrong@")).rejects.toThrow("Authentication failed");
  expect(await list("me:hunter2@")).toContain(`${repo.hash("v0.2.1")}\trefs/tags/v0.2.1`);
  server.credentials = [];
  await runGit(root, ["clone", "-q", "--bare", url(), "clone.git"]);
  expect(server.requestsFor(({ kind }) => kind === "pack").length).toBeGreaterThan(0);

  server.setFault(/info\/refs/, { kind: "status", status: 503, times: 1 });
  await expect(list()).rejects.toThrow("503");
  server.setFault(({ kind }) => kind === "pack", { kind: "cut", afterBytes: 20, times: 3 });
  await expect(runGit(root, ["clone", "-q", "--bare", url(), "cut.git"])).rejects.toThrow("exit code 128");
  server.clearFaults();

  await repo.add([{ files: { "more.go": "package more\n" }, tags: ["v0.3.0"] }]);
  expect(await list()).toContain("refs/tags/v0.3.0");
});

it.skipIf(lacksSsh())("serves them over SSH to one key, and nothing but git-upload-pack", async () => {
  const root = await temporaryFolder();
  await buildRepo(join(root, "team/lib.git"), gitFixtures.tagtests);
  const server = await startSshServer({ root });
  onTestFinished(() => server.close());
  const git = (keyFile: string, ...args: string[]): Promise<string> =>
    runGit(root, [
      "-c",
      `core.sshCommand=ssh -F none -o IdentitiesOnly=yes -i ${keyFile} -o UserKnownHostsFile=${server.knownHostsFile} -o BatchMode=yes`,
      ...args,
    ]);

  expect(await git(server.keyFile, "ls-remote", `${server.url}/team/lib.git`)).toContain("refs/tags/v0.2.1");
  await git(server.keyFile, "clone", "-q", "--bare", `${server.url}/team/lib.git`, "clone.git");
  await expect(git(server.strangerKeyFile, "ls-remote", `${server.url}/team/lib.git`)).rejects.toThrow(
    "Permission denied",
  );
  await expect(
    git(server.keyFile, "-C", "clone.git", "push", "--mirror", `${server.url}/team/lib.git`),
  ).rejects.toThrow("only git-upload-pack");
  expect((await server.commands())[0]).toBe("git-upload-pack '/team/lib.git'");
  await server.changeHostKey();
  await expect(git(server.keyFile, "ls-remote", `${server.url}/team/lib.git`)).rejects.toThrow(
    "HOST IDENTIFICATION HAS CHANGED",
  );
});
