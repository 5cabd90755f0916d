import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { Secret } from "../../src/core/secret.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import { createGitCommand } from "../../src/sources/git/command.ts";
import { gitEnvironment } from "../../src/sources/git/credentials/git-environment.ts";
import { createDiscovery } from "../../src/sources/git/discovery/discovery.ts";
import { createRepositoryProbe } from "../../src/sources/git/probe.ts";
import type { GitAccess } from "../../src/sources/git/remote-host.ts";
import { outcomeOf } from "../support/git-harness.ts";
import { buildRepo } from "../support/git-repos.ts";
import { startGitServer } from "../support/git-server.ts";
import { testClient } from "../support/http-client.ts";
import { lacks } from "../support/needs.ts";
import { contextOf } from "../support/source-harness.ts";
import { lacksSsh, type SshServerOptions, startSshServer } from "../support/ssh-server.ts";

/** What hosts say of a path that is no repository, by their names. */
const absences = {
  git: undefined,
  gitea: "Gitea: Invalid repository path",
  forgejo: "Forgejo: Cannot find repository: %s",
  gogs: "Gogs: Repository does not exist",
  github: "ERROR: Repository not found.",
  gitlab:
    "remote: \nremote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\nremote: ",
  bitbucket: "conq: repository does not exist.",
  "bitbucket server":
    "Repository not found\nThe requested repository does not exist, or you do not have permission to access it.",
};
const gitolite = "FATAL: R any %s me DENIED by fallthru\n(or you mis-spelled the reponame)";

/** Finds the root in a rule for all depths of a host, or says with which code not. */
function createFinder(folder: string, url: string, access: () => Promise<GitAccess>) {
  const discovery = createDiscovery({
    http: testClient(),
    clock: systemClock,
    isNamedHost: () => true,
    checkAddress: async () => undefined,
    privatePatterns: "git.corp.example",
    overrides: [{ pattern: "git.corp.example/**", url: `${url}/{path}.git` }],
    probe: createRepositoryProbe({
      git: createGitCommand({ home: join(folder, "home"), env: process.env }),
      access,
      clock: systemClock,
    }),
  });
  return async (path: string): Promise<string> => {
    let root = "";
    const outcome = await outcomeOf(
      discovery.find(parseModulePath(path), contextOf()).then((location) => (root = location.root)),
    );
    return outcome === "ok" ? root : outcome.slice(0, outcome.indexOf(":"));
  };
}

/** Has one repository, `team/group/lib`. */
async function createRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "sluice-parents-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await buildRepo(join(root, "team/group/lib.git"), { commits: [{ files: { "a.go": "package a\n" } }] });
  return root;
}

async function createSshWorld(words: Pick<SshServerOptions, "absent" | "refused">) {
  const root = await createRoot();
  const ssh = await startSshServer({ root, ...words });
  onTestFinished(() => ssh.close());
  const key = new Secret(await readFile(ssh.keyFile, "utf8"));
  const find = createFinder(root, ssh.url, async () => ({
    ...(await gitEnvironment({ kind: "ssh", key, knownHostsFile: ssh.knownHostsFile }, { folder: root })),
    hasCredential: true,
  }));
  return { ssh, find };
}

describe.skipIf(lacksSsh())("which part of a path is the repository", () => {
  test.each(Object.entries(absences))("is found behind the words of %s for its groups", async (_, absent) => {
    const { ssh, find } = await createSshWorld(absent === undefined ? {} : { absent });
    expect(await find("git.corp.example/team/group/lib/sub")).toBe("git.corp.example/team/group/lib");
    expect((await ssh.commands()).map((line) => line.split("'")[1])).toEqual([
      "/team.git",
      "/team/group.git",
      "/team/group/lib.git",
    ]);
    expect(await find("git.corp.example/team/none")).toBe("not_found");
  });

  test("is found where a host does not tell what is not there from what it does not show", async () => {
    const { find } = await createSshWorld({ absent: gitolite });
    expect(await find("git.corp.example/team/group/lib/sub")).toBe("git.corp.example/team/group/lib");
    // It may be there, for another key.
    expect(await find("git.corp.example/team/none")).toBe("upstream_refused");
  });

  test.each([
    ["gitea", "Gitea: User: 2:me with Key: 7:key is not authorized to read team/group/lib.", absences.gitea],
    ["gitolite", gitolite, gitolite],
  ])("is not said to be none by %s that refuses the key", async (_, words, absent) => {
    const { find } = await createSshWorld({ absent, refused: { "team/group/lib.git": words } });
    expect(await find("git.corp.example/team/group/lib/sub")).toBe("upstream_refused");
  });
});

describe.skipIf(lacks("git"))("which part of a path is the repository over http", () => {
  test("is found behind web pages for its groups, which are no answer about what is not there", async () => {
    const root = await createRoot();
    const server = await startGitServer({ root });
    onTestFinished(() => server.close());
    const find = createFinder(root, server.url, async () => ({
      env: {},
      hasCredential: true,
      dispose: async () => undefined,
    }));
    server.setFault(/^\/team(\/group)?\.git\//, { kind: "status", status: 200, body: "<html>\nSign in\n</html>\n" });
    expect(await find("git.corp.example/team/group/lib/sub")).toBe("git.corp.example/team/group/lib");
    expect(await find("git.corp.example/team/none")).toBe("upstream_refused");
    server.clearFaults();
    expect(await find("git.corp.example/other/none")).toBe("not_found");
  });
});
