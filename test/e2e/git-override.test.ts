import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { startFixtureUpstream } from "../support/fixture-upstream.ts";
import { buildRepo } from "../support/git-repos.ts";
import { startGitServer } from "../support/git-server.ts";
import { lacks } from "../support/needs.ts";
import { startSluiceProcess } from "../support/sluice.ts";

test.skipIf(lacks("git"))("public modules come from where the configuration says, private rules first", async () => {
  const root = await mkdtemp(join(tmpdir(), "sluice-override-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const commits = (path: string, folder = "") => ({
    commits: [{ files: { [`${folder}go.mod`]: `module ${path}\n` }, tags: [`${folder}v1.0.0`] }],
  });
  await buildRepo(join(root, "team/lib.git"), commits("git.corp.example/team/lib"));
  const tool = commits("go.corp.example/tool", "tool/").commits;
  await buildRepo(join(root, "mono.git"), {
    commits: [...tool, ...commits("named.corp.example", "go/named/").commits],
  });
  await buildRepo(join(root, "hidden/secret.git"), commits("git.corp.example/secret"));
  const git = await startGitServer({ root });
  onTestFinished(() => git.close());
  const upstream = await startFixtureUpstream();
  onTestFinished(() => upstream.close());
  const file = join(root, "sluice.toml");
  // The server is on a loopback address, where Sluice goes for hosts of the configuration only.
  await writeFile(
    file,
    `[[git.override]]
pattern = "git.corp.example/**"
url = "${git.url}/{path}.git"
[[git.override]]
pattern = "go.corp.example/*"
url = "${git.url}/mono.git"
root = "go.corp.example"
[[git.override]]
pattern = "named.corp.example"
url = "${git.url}/mono.git"
subdir = "go/named"
[[private]]
pattern = "git.corp.example/secret"
url = "${git.url}/hidden/secret.git"
`,
  );
  const sluice = await startSluiceProcess({ upstream: `${upstream.url},direct`, args: ["--config", file] });
  onTestFinished(async () => void (await sluice.stop()));

  const modOf = async (path: string): Promise<string> =>
    (await fetch(new URL(`${path}/@v/v1.0.0.mod`, `${sluice.url}/`))).text();
  for (const path of [
    "git.corp.example/team/lib",
    "go.corp.example/tool",
    "named.corp.example",
    "git.corp.example/secret",
  ]) {
    expect(await modOf(path)).toBe(`module ${path}\n`);
  }
  // Only the private one is asked of nobody else.
  expect(upstream.requestsFor(/git\.corp\.example\/team\/lib/)).not.toEqual([]);
  expect(upstream.requestsFor(/go\.corp\.example\/tool/)).not.toEqual([]);
  expect(upstream.requestsFor(/secret/)).toEqual([]);
});
