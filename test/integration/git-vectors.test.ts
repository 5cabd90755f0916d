import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGitHarness, type GitHarness, outcomeOf } from "../support/git-harness.ts";
import { lacks } from "../support/needs.ts";
import { findVcsTests } from "../support/vcstest.ts";

const vcsTests = lacks("go", ["version"]) || lacks("git") ? undefined : findVcsTests();

/** Import paths of the repositories that SPEC §10.3 is about, and the scripts that make them. */
const places: readonly { root: string; script: string; subdir?: string }[] = [
  { root: "github.com/rsc/vgotest1", script: "vgotest1" },
  { root: "vcs-test.golang.org/go/mod/gitrepo1", script: "gitrepo1" },
  { root: "vcs-test.golang.org/go/mod/gitrepo-sha256", script: "gitrepo-sha256" },
  { root: "vcs-test.golang.org/go/v2module/v2", script: "v2repo" },
  { root: "vcs-test.golang.org/git/semver-branch.git", script: "semver-branch" },
  { root: "vcs-test.golang.org/git/v2sub.git", script: "v2sub" },
  { root: "vcs-test.golang.org/git/odd-tags.git", script: "odd-tags" },
  { root: "vcs-test.golang.org/git/commit-after-tag.git", script: "commit-after-tag" },
  { root: "vcs-test.golang.org/git/no-tags.git", script: "no-tags" },
  { root: "vcs-test.golang.org/git/tagtests.git", script: "tagtests" },
  { root: "vcs-test.golang.org/git/prefixtagtests.git", script: "prefixtagtests" },
  { root: "vcs-test.golang.org/git/hello.git", script: "hello" },
  { root: "vcs-test.golang.org/git/retract-pseudo.git", script: "retract-pseudo" },
  { root: "vcs-test.golang.org/go/gitreposubdir", script: "gitreposubdir", subdir: "foo/subdir" },
  { root: "vcs-test.golang.org/go/gitreposubdirv2/v2", script: "gitreposubdirv2", subdir: "subdir" },
];

const vgotest1 = "github.com/rsc/vgotest1";
const git = "vcs-test.golang.org/git";

describe.skipIf(vcsTests === undefined)("repositories of go's own tests", () => {
  let root: string;
  let sluice: GitHarness;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-vectors-"));
    const built = places.map(({ script, ...place }) => ({
      ...place,
      url: vcsTests?.build(script, join(root, "repos", script)) ?? "",
    }));
    sluice = await createGitHarness({ places: built, folder: join(root, "mirrors") });
  }, 60_000);
  afterAll(async () => {
    await sluice?.[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });

  test.each([
    [vgotest1, "v0.0.0", "v0.0.0", "80d85c5d4d17598a0e9055e7c175a32b415d6128", "2018-02-19T23:10:06Z"],
    [
      vgotest1,
      "v0.0.0-20180219231006-80d85c5d4d17",
      "v0.0.0-20180219231006-80d85c5d4d17",
      "80d85c5d4d17",
      "2018-02-19T23:10:06Z",
    ],
    [vgotest1, "80d85c5", "v1.0.0", "80d85c5d4d17"],
    [vgotest1, "mytag", "v1.0.0", "80d85c5d4d17"],
    [vgotest1, "v1.1.0", "v1.1.0", "b769f2de407a"],
    [`${vgotest1}/submod`, "v1.0.4", "v1.0.4", "8afe2b2efed9"],
    [`${vgotest1}/v2`, "v2.0.5", "v2.0.5", ""],
    ["vcs-test.golang.org/go/mod/gitrepo1", "master", "v1.2.4-annotated", "ede458df7cd0fdca520df19a33158086a8a68e81"],
    [
      "vcs-test.golang.org/go/mod/gitrepo-sha256",
      "main",
      "v1.2.4-annotated",
      "47b8b51b2a2d9d5caa3d460096c4e01f05700ce3a9390deb54400bd508214c5c",
    ],
    ["vcs-test.golang.org/go/mod/gitrepo-sha256", "a9157cad2aa6", "v1.3.0", "a9157cad2aa6"],
    ["vcs-test.golang.org/go/v2module/v2", "v2.0.0", "v2.0.0", "203b91c896ac"],
    [`${git}/v2sub.git`, "80beb17a1603", "v0.0.0-20220222205507-80beb17a1603", "80beb17a1603"],
    [`${git}/v2sub.git`, "v2.0.0+incompatible", "v2.0.0+incompatible", ""],
    [
      `${git}/v2sub.git`,
      "v2.0.1-0.20220222205507-80beb17a1603+incompatible",
      "v2.0.1-0.20220222205507-80beb17a1603+incompatible",
      "",
    ],
    [`${git}/odd-tags.git`, "v0.1.0+build-metadata", "v0.1.1-0.20220223184835-9d863d525bbf", "9d863d525bbf"],
    [`${git}/odd-tags.git`, "9d863d525bbf", "v0.1.1-0.20220223184835-9d863d525bbf", "9d863d525bbf"],
    [`${git}/odd-tags.git`, "12d19af20458", "v2.0.1-0.20220223184802-12d19af20458+incompatible", "12d19af20458"],
    [
      `${git}/odd-tags.git`,
      "v3.0.0-20220223184802-12d19af20458",
      "v3.0.0-20220223184802-12d19af20458+incompatible",
      "12d19af20458",
    ],
    [`${git}/commit-after-tag.git`, "v0.0.0-20190715211727-b325d8217783", "v0.0.0-20190715211727-b325d8217783", ""],
    [`${git}/tagtests.git`, "master", "v0.2.3-0.20190509225625-c7818c24fa2f", "c7818c24fa2f"],
    [`${git}/retract-pseudo.git`, "713affd19d7b", "v0.0.0-20201009173747-713affd19d7b", "713affd19d7b"],
    [`${git}/retract-pseudo.git`, "64c061ed4371", "v0.0.0-20201009173747-64c061ed4371", "64c061ed4371"],
    [`${git}/retract-pseudo.git`, "v1.0.1-0.20201009173747-713affd19d7b", "v1.0.1-0.20201009173747-713affd19d7b", ""],
  ])("%s@%s is %s", async (path, query, version, hash, time?: string) => {
    const info = await sluice.info(path, query);
    expect(info.version).toBe(version);
    expect(info.origin?.hash?.startsWith(hash)).toBe(true);
    expect(info.time).toBe(time ?? info.time);
  });

  test.each([
    [
      vgotest1,
      "v0.0.1-0.20180219231006-80d85c5d4d17",
      "invalid pseudo-version: tag (v0.0.0) found on revision 80d85c5d4d17 is already canonical, so should not be replaced with a pseudo-version derived from that tag",
    ],
    [`${vgotest1}/v2`, "v2.0.0", "missing github.com/rsc/vgotest1/go.mod and .../v2/go.mod at revision v2.0.0"],
    [`${vgotest1}/v2`, "45f53230a", "missing github.com/rsc/vgotest1/go.mod and .../v2/go.mod at revision v2.0.0"],
    [
      `${vgotest1}/v54321`,
      "80d85c5",
      "missing github.com/rsc/vgotest1/go.mod and .../v54321/go.mod at revision 80d85c5d4d17",
    ],
    [
      `${vgotest1}/submod`,
      "v1.0.0",
      "github.com/rsc/vgotest1/submod@v1.0.0: invalid version: unknown revision submod/v1.0.0",
    ],
    [
      `${vgotest1}/v2`,
      "v2.0.3",
      'github.com/rsc/vgotest1/v2/go.mod has non-.../v2 module path "github.com/rsc/vgotest" at revision v2.0.3',
    ],
    [
      `${vgotest1}/v2`,
      "v2.0.4",
      "github.com/rsc/vgotest1/go.mod and .../v2/go.mod both have .../v2 module paths at revision v2.0.4",
    ],
    [
      vgotest1,
      "master",
      'github.com/rsc/vgotest1@v0.0.0-20180219223237-a08abb797a67: invalid version: go.mod has post-v0 module path "github.com/vgotest1/v2" at revision a08abb797a67',
    ],
    [vgotest1, "refs/heads/master".replaceAll("/", "-"), "unknown revision refs-heads-master"],
    [
      "vcs-test.golang.org/go/mod/gitrepo1",
      "v2.3.4+incompatible",
      "resolves to version v2.0.1+incompatible (v2.3.4 is not a tag)",
    ],
    ["vcs-test.golang.org/go/mod/gitrepo1", "ede45", "unknown revision ede45"],
    ["vcs-test.golang.org/go/mod/gitrepo1", "EDE458DF", "unknown revision EDE458DF"],
    [
      `${git}/semver-branch.git`,
      "v1.0.0",
      "resolves to version v0.1.1-0.20220202191944-09c4d8f6938c (v1.0.0 is not a tag)",
    ],
    [`${git}/semver-branch.git`, "v2.0.0", "resolves to version v0.1.0 (v2.0.0 is not a tag)"],
    [`${git}/semver-branch.git`, "v2.0.0+incompatible", "resolves to version v0.1.0 (v2.0.0 is not a tag)"],
    [
      `${git}/semver-branch.git`,
      "v3.0.0-devel",
      "resolves to version v0.1.1-0.20220203155313-d59622f6e4d7 (v3.0.0-devel is not a tag)",
    ],
    [`${git}/v2sub.git`, "v2.0.0", 'module path must match major version ("vcs-test.golang.org/git/v2sub.git/v2")'],
    [
      `${git}/v2sub.git`,
      "v2.0.1-0.20220222205507-80beb17a1603",
      'module path must match major version ("vcs-test.golang.org/git/v2sub.git/v2")',
    ],
    [`${git}/odd-tags.git`, "v2.0.0+incompatible", "unknown revision v2.0.0"],
    [
      `${git}/retract-pseudo.git`,
      "v1.0.1-0.20201009173747-64c061ed4371",
      "tag (v1.0.0) found on revision 64c061ed4371 is already canonical",
    ],
    [`${git}/hello.git`, "nonexist", "unknown revision nonexist"],
    [
      vgotest1,
      "v0.0.0-20180219231007-80d85c5d4d17",
      "does not match version-control timestamp (expected 20180219231006)",
    ],
    [vgotest1, "v0.0.0-20180219231006-80d85c5d4d1", "revision is shorter than canonical (expected 80d85c5d4d17)"],
    [vgotest1, "v0.0.0-20180219231006-80d85c5d4d175", "revision is longer than canonical (expected 80d85c5d4d17)"],
    [vgotest1, "v1.0.0-20180219231006-80d85c5d4d17", "major version without preceding tag must be v0, not v1"],
    [`${git}/commit-after-tag.git`, "v1.5.1-0.20190715211727-b325d8217783", "preceding tag (v1.5.0) not found"],
  ])("%s@%s is not found, in go's words", async (path, query, message) => {
    const outcome = await outcomeOf(sluice.info(path, query));
    expect(outcome.startsWith("not_found: not found: ")).toBe(true);
    expect(outcome).toContain(message);
  });

  test.each([
    [vgotest1, "v0.0.0", "h1:zVEjciLdlk/TPWCOyZo7k24T+tOKRQC+u8MKq/xS80I="],
    [vgotest1, "v0.0.0-20180219231006-80d85c5d4d17", "h1:nOznk2xKsLGkTnXe0q9t1Ewt9jxK+oadtafSUqHM3Ec="],
    [vgotest1, "v1.0.0", "h1:e040hOoWGeuJLawDjK9DW6med+cz9FxMFYDMOVG8ctQ="],
    [vgotest1, "v1.1.0", "h1:M69k7q+8bQ+QUpHov45Z/NoR8rj3DsQJUnXLWvf01+Q="],
    [`${vgotest1}/submod`, "v1.0.4", "h1:iMsJ/9uQsk6MnZNnJK311f11QiSlmN92Q2aSjCywuJY="],
    [`${vgotest1}/v2`, "v2.0.1", "h1:QmgYy/zt+uoWhDpcsgrSVzYFvKtBEjl5zT/FRz9GTzA="],
    [`${vgotest1}/v2`, "v2.0.5", "h1:RIEb9q1SUSEQOzMn0zfl/LQxGFWlhWEAdeEguf1MLGU="],
    ["vcs-test.golang.org/go/mod/gitrepo1", "v1.2.4-annotated", "h1:YJYZRsM9BHFTlVr8YADjT0cJH8uFIDtoc5NLiVqZEx8="],
    ["vcs-test.golang.org/go/v2module/v2", "v2.0.0", "h1:JItBZ+gwA5WvtZEGEbuDL4lUttGtLrs53lmdurq3bOg="],
  ])("the zip of %s@%s has %s", async (path, version, h1) => {
    expect(await sluice.h1(path, version)).toBe(h1);
  });

  test.each([
    [`${vgotest1}/submod`, "v1.0.4", 'module "github.com/vgotest1/submod" // submod/go.mod\n'],
    [`${vgotest1}/v2`, "v2.0.5", 'module "github.com/rsc/vgotest1/v2" // v2/go.mod\n'],
    [vgotest1, "v0.0.0", "module github.com/rsc/vgotest1\n"],
  ])("the go.mod of %s@%s", async (path, version, goMod) => {
    expect(await sluice.mod(path, version)).toBe(goMod);
  });

  test.each([
    [vgotest1, "v0.0.0 v0.0.1 v1.0.0 v1.0.1 v1.0.2 v1.0.3 v1.1.0"],
    [`${vgotest1}/v2`, "v2.0.0 v2.0.1 v2.0.2 v2.0.3 v2.0.4 v2.0.5 v2.0.6"],
    [`${git}/odd-tags.git`, ""],
    [`${git}/prefixtagtests.git/sub`, "v0.0.9 v0.0.10"],
  ])("the list of %s is %j", async (path, versions) => {
    expect((await sluice.list(path)).join(" ")).toBe(versions);
  });

  test.each([
    [`${git}/odd-tags.git`, "v0.1.1-0.20220223184835-9d863d525bbf"],
    [`${git}/commit-after-tag.git`, "v1.0.0"],
    [`${git}/no-tags.git`, "v0.0.0-20190715212047-e706ba1d9f6d"],
    [`${git}/prefixtagtests.git/sub`, "v0.0.10"],
    ["vcs-test.golang.org/go/gitreposubdir", "v1.2.3"],
    ["vcs-test.golang.org/go/gitreposubdirv2/v2", "v2.0.0"],
    [vgotest1, "v1.1.0"],
  ])("the latest version of %s is %s", async (path, version) => {
    expect((await sluice.latest(path)).version).toBe(version);
  });
});
