import type { CommitDescription, Identity, RepoDescription } from "./git-repos.ts";

// Repositories whose commits have the hashes that the vectors of SPEC §10.3 name, so their authors, dates, messages and files
// are those of Go's own fixtures; `git-repos.test.ts` compares the hashes. The module paths begin with `vcs-test.golang.org/git/`.

const bryan: Identity = { name: "Bryan C. Mills", email: "bcmills@google.com" };
const jay: Identity = { name: "Jay Conrod", email: "jayconrod@google.com" };
const russ: Identity = { name: "Russ Cox", email: "rsc@golang.org" };
const host = "vcs-test.golang.org/git";
const emptyMain = "package main\n\nfunc main() {}\n";

/** Branches that are named like versions (vector 26). */
const semverBranch: RepoDescription = {
  author: bryan,
  commits: [
    {
      at: "2022-02-02T14:15:21-05:00",
      message: "pkg: add empty package",
      files: { "go.mod": `module ${host}/semver-branch.git\n\ngo 1.16\n`, "pkg/pkg.go": "package pkg\n" },
      branches: ["main", "v2.0.0"],
      tags: ["v0.1.0"],
    },
    {
      at: "2022-02-02T14:19:44-05:00",
      message: "pkg: start developing toward v1.0.0",
      files: { "pkg/pkg.go": 'package pkg\n\nfunc init() {\n\tpanic("TODO")\n}\n' },
      branches: ["v1.0.0"],
    },
    {
      at: "2022-02-03T10:53:13-05:00",
      message: "pkg: remove panic",
      files: { "pkg/pkg.go": "package pkg\n" },
      branches: ["v3.0.0-devel"],
      tags: ["v4.0.0-beta.1"],
    },
  ],
};

/** A `v2` folder with a go.mod, and none at the root (vector 27). */
const v2sub: RepoDescription = {
  author: bryan,
  commits: [
    {
      at: "2022-02-22T15:53:33-05:00",
      message: "all: add package v2sub and v2sub/v2",
      files: {
        "v2sub.go": "package v2sub\n",
        "v2/go.mod": `module ${host}/v2sub.git/v2\n\ngo 1.16\n`,
        "v2/v2sub.go": "package v2sub\n",
      },
      tags: ["v2.0.0"],
    },
    {
      at: "2022-02-22T15:55:07-05:00",
      message: "v2sub: add README.txt",
      files: { "README.txt": "This root module lacks a go.mod file.\n" },
    },
  ],
};

/** Tags with build metadata, and one that looks like a pseudo-version (vector 28). */
const oddTags: RepoDescription = {
  author: bryan,
  commits: [
    {
      at: "2022-02-23T13:48:02-05:00",
      message: "initial state",
      files: { "README.txt": "This module lacks a go.mod file.\n" },
      tags: ["v2.0.0+incompatible"],
    },
    {
      at: "2022-02-23T13:48:35-05:00",
      message: "migrate to Go modules",
      files: { "README.txt": null, "go.mod": `module ${host}/odd-tags.git\n\ngo 1.18\n` },
      tags: ["v0.1.0+build-metadata"],
      branches: ["main"],
    },
    {
      at: "2022-02-23T14:41:55-05:00",
      message: "update to /v3",
      files: { "go.mod": `module ${host}/odd-tags.git/v3\n\ngo 1.18\n` },
      tags: ["v3.0.0-20220223184802-12d19af20458"],
      branches: ["v3-dev"],
    },
  ],
};

const firstMain = (module: string): Pick<CommitDescription, "message" | "files"> => ({
  message: "all: add go.mod and main.go",
  files: { "go.mod": `module ${host}/${module}\n\ngo 1.13\n`, "main.go": emptyMain },
});

/** A branch that is ahead of its only tag (vector 29). */
const commitAfterTag: RepoDescription = {
  author: bryan,
  defaultBranch: "master",
  commits: [
    { ...firstMain("commit-after-tag.git"), at: "2019-07-15T17:16:47-04:00", tags: ["v1.0.0"] },
    {
      at: "2019-07-15T17:17:27-04:00",
      message: "add init function",
      files: { "main.go": `${emptyMain}func init() {}\n` },
    },
  ],
};

/** Vector 29. */
const noTags: RepoDescription = {
  author: bryan,
  defaultBranch: "master",
  commits: [{ ...firstMain("no-tags.git"), at: "2019-07-15T17:20:47-04:00" }],
};

/** A merge of two tagged commits (vector 30). */
const tagtests: RepoDescription = {
  author: jay,
  defaultBranch: "master",
  commits: [
    {
      name: "first",
      at: "2019-05-09T18:56:25-04:00",
      message: "create module tagtests",
      files: { "go.mod": `module ${host}/tagtests.git\n`, "tagtests.go": "package tagtests\n" },
    },
    {
      name: "v0.2.1",
      at: "2019-05-09T18:56:25-04:00",
      message: "v0.2.1",
      files: { "v0.2.1": "v0.2.1\n" },
      tags: ["v0.2.1"],
    },
    {
      name: "v0.2.2",
      parents: ["first"],
      at: "2019-05-09T18:56:25-04:00",
      message: "v0.2.2",
      files: { "v0.2.2": "v0.2.2\n" },
      tags: ["v0.2.2"],
      branches: ["b"],
    },
    {
      parents: ["v0.2.1", "v0.2.2"],
      at: "2019-05-09T18:56:25-04:00",
      message: "merge",
      files: { "v0.2.2": "v0.2.2\n" },
    },
  ],
};

/** A module in a subfolder whose tags stand between those of the root (vector 31). */
const prefixtagtests: RepoDescription = {
  author: jay,
  defaultBranch: "master",
  commits: [
    {
      message: "create module sub",
      files: { "sub/go.mod": `module ${host}/prefixtagtests.git/sub\n`, "sub/sub.go": "package sub\n" },
    },
    ...["v0.1.0", "sub/v0.0.9", "sub/v0.0.10", "v0.2.0"].map((tag) => ({
      message: tag,
      files: { status: `${tag}\n` },
      tags: [tag],
    })),
    { message: "after last tag", files: { status: "after last tag\n" } },
  ].map((commit) => ({ ...commit, at: "2019-05-09T18:35:00-04:00" })),
};

/** A version that retracts itself (vector 33). */
const retractPseudo: RepoDescription = {
  author: jay,
  commits: [
    {
      at: "2020-10-09T13:37:47-04:00",
      message: "create module retract-pseudo",
      files: { "go.mod": `module ${host}/retract-pseudo.git\n\ngo 1.16\n\nretract v1.0.0\n`, "p.go": "package p\n" },
      tags: ["v1.0.0"],
    },
    { at: "2020-10-09T13:37:47-04:00", message: "trivial change", files: { "p.go": null, "q.go": "package p\n" } },
  ],
};

/** An annotated tag beside a lightweight one, short tags, and a branch named like a version (vector 24). */
const gitrepo1: RepoDescription = {
  author: russ,
  defaultBranch: "master",
  commits: [
    {
      name: "first",
      at: "2018-04-17T15:43:22-04:00",
      message: "empty README",
      files: { README: "" },
      tags: ["v1.2.3", { name: "v1.2.4-annotated", at: "2018-04-17T22:23:00-04:00" }],
      branches: ["master"],
    },
    {
      at: "2018-04-17T15:45:48-04:00",
      message: "v2",
      files: { v2: "v2\n" },
      tags: ["v2.3", "v2.0.1"],
      branches: ["v2.3.4"],
    },
    { at: "2018-04-17T16:00:19-04:00", message: "intermediate", files: { "foo.txt": "intermediate\n" } },
    {
      at: "2018-04-17T16:00:32-04:00",
      message: "another",
      files: { "another.txt": "another\n" },
      tags: ["v2.0.2"],
      branches: ["v2"],
    },
    {
      parents: ["first"],
      at: "2018-04-17T16:16:52-04:00",
      message: "add v3/sub/dir/file.txt",
      files: { "v3/sub/dir/file.txt": "v3/sub/dir/file\n" },
      branches: ["v3"],
    },
  ],
};

/** The same with sha256 for its hashes, and a module on a branch. */
const gitrepoSha256: RepoDescription = {
  author: { name: "David Finkel", email: "david.finkel@gmail.com" },
  objectFormat: "sha256",
  commits: [
    ...gitrepo1.commits.map((commit) => ({
      ...commit,
      branches: commit.branches?.map((branch) => (branch === "master" ? "main" : branch)) ?? [],
    })),
    {
      parents: ["first"],
      at: "2018-04-17T22:23:00-04:00",
      message: "add go.mod & Foobar function",
      files: {
        "go.mod": "module vcs-test.golang.org/go/mod/gitrepo-sha256\n\ngo 1.24.3\n\n",
        "foobar.go":
          "\npackage sha256repo\n\n// Foobar is the identity function\nfunc Foobar[T any](v T) T {\n\treturn v\n}\n\n",
      },
      branches: ["basic_module"],
      tags: ["v1.3.0"],
    },
  ],
};

/** Vector 32. */
const hello: RepoDescription = {
  author: russ,
  defaultBranch: "master",
  commits: [
    {
      author: { name: "bwk", email: "bwk" },
      at: "2017-09-21T21:05:58-04:00",
      message: "hello",
      files: { "hello.go": 'package main\n\nfunc main() {\n\tprintln("hello, world")\n}\n' },
    },
  ],
};

/** A major version at the root, for a meta tag whose prefix ends in `/v2` (vector 25). */
const v2module: RepoDescription = {
  author: bryan,
  defaultBranch: "master",
  commits: [
    {
      at: "2019-04-03T11:52:15-04:00",
      authoredAt: "2019-04-03T11:44:11-04:00",
      message: "all: add go.mod",
      files: { "go.mod": "module vcs-test.golang.org/go/v2module/v2\n\ngo 1.12\n" },
      tags: ["v2.0.0"],
    },
  ],
};

/** For meta tags with a fourth field, `foo/subdir` (vector 34). */
const gitreposubdir: RepoDescription = {
  author: { name: "Sam Thanawalla", email: "samthanawalla@google.com" },
  defaultBranch: "master",
  commits: [
    {
      at: "2019-10-07T14:15:32-04:00",
      message: "initial commit",
      files: {
        "foo/subdir/go.mod": "module vcs-test.golang.org/go/gitreposubdir\n\ngo 1.23\n",
        "foo/subdir/hello.go": 'package greeter\n\nfunc Hello() string {\n\treturn "hello, world"\n}\n',
      },
      tags: ["foo/subdir/v1.2.3"],
    },
  ],
};

/** The same for `subdir` and a major version (vector 34). */
const gitreposubdirv2: RepoDescription = {
  ...gitreposubdir,
  commits: [
    {
      at: "2019-10-07T14:15:32-04:00",
      message: "initial commit",
      files: {
        "subdir/go.mod": "module vcs-test.golang.org/go/gitreposubdirv2/v2\n\ngo 1.23\n",
        "subdir/hello.go": 'package greeterv2\n\nfunc Hello() string {\n\treturn "hello, world v2"\n}\n',
      },
      tags: ["subdir/v2.0.0"],
    },
  ],
};

const status = (text: string, at: string, tags: readonly string[] = []): CommitDescription => ({
  at,
  message: text,
  files: { status: `${text}\n` },
  tags,
});

/** A commit before each version and one at it. */
const steps = (versions: readonly string[], at: string): CommitDescription[] =>
  versions.flatMap((version) => [
    status(`before ${version}`, at),
    { ...status(`at ${version}`, at, version === "v0.0.3" ? [version, "favorite"] : [version]), name: version },
  ]);

/** Tags of every kind on two branches, and commits between them, for queries. */
const querytest: RepoDescription = {
  author: russ,
  defaultBranch: "master",
  commits: [
    {
      name: "start",
      at: "2018-07-03T22:31:01-04:00",
      message: "v1",
      files: { "go.mod": `module ${host}/querytest.git\n` },
      tags: ["start"],
    },
    ...steps(
      [
        ..."v0.0.0-pre1 v0.0.0 v0.0.1 v0.0.2 v0.0.3 v0.1.0 v0.1.1 v0.1.2 v0.3.0".split(" "),
        ..."v1.0.0 v1.1.0 v1.9.0 v1.9.9".split(" "),
      ],
      "2018-07-03T22:33:47-04:00",
    ),
    ...steps(["v1.9.10-pre1"], "2018-07-03T22:45:01-04:00"),
    {
      parents: ["start"],
      at: "2018-07-03T22:50:24-04:00",
      message: "v2",
      files: { "go.mod": `module ${host}/querytest.git/v2\n` },
    },
    ...steps(["v2.0.0", "v2.1.0", "v2.2.0", "v2.5.5"], "2018-07-03T22:51:14-04:00"),
    { ...status("after v2.5.5", "2018-07-03T23:35:18-04:00"), branches: ["v2"] },
    ...inName(bryan, [
      { ...status("before v2.6.0-pre1", "2019-05-13T17:13:56-04:00"), parents: ["v2.5.5"] },
      status("at v2.6.0-pre1", "2019-05-13T17:13:56-04:00", ["v2.6.0-pre1"]),
      { ...status("before v1.9.10-pre2+metadata", "2019-05-13T16:11:25-04:00"), parents: ["v1.9.10-pre1"] },
      status("at v1.9.10-pre2+metadata", "2019-05-13T16:11:26-04:00", ["v1.9.10-pre2+metadata"]),
      { ...status("after v1.9.10-pre2+metadata", "2019-12-20T08:46:14-05:00"), branches: ["master"] },
    ]),
  ],
};

function inName(author: Identity, commits: readonly CommitDescription[]): CommitDescription[] {
  return commits.map((commit) => ({ ...commit, author, committer: author }));
}

const v2GoMod = 'module "github.com/rsc/vgotest1/v2"';

/**
 * The shape of the repository that vectors 12 to 23 are about, with dates and texts of our own: tags on one commit, modules in
 * `submod` and `v2` that come, go and have wrong paths. Its module path is `github.com/rsc/vgotest1`.
 */
const vgotest1Like: RepoDescription = {
  defaultBranch: "master",
  commits: [
    { name: "initial", files: { LICENSE: "A licence for the fixture.\n", "README.md": "A fixture.\n" } },
    { name: "pkg", files: { "pkg/p.go": "package p // pkg/p.go\n" }, tags: ["v0.0.0", "v1.0.0", "mytag"] },
    { files: { "go.mod": `${v2GoMod} // root go.mod\n` }, tags: ["v2.0.1"] },
    { files: { "submod/pkg/p.go": "package p // submod/pkg/p.go\n" }, tags: ["v2.0.2"] },
    { files: { "v2/go.mod": 'module "github.com/rsc/vgotest" // v2/go.mod\n' }, tags: ["v2.0.3"] },
    { files: { "v2/go.mod": `${v2GoMod} // v2/go.mod\n` }, tags: ["v2.0.4"] },
    { files: { "go.mod": 'module "github.com/rsc/vgotest1" // root go.mod\n' }, tags: ["v2.0.5"] },
    {
      parents: ["pkg"],
      files: { "go.mod": 'module "github.com/rsc/vgotest1" // root go.mod\n' },
      tags: ["v0.0.1", "v1.0.1"],
    },
    { files: { "submod/pkg/p.go": "package pkg // submod/pkg/p.go\n" }, tags: ["v1.0.2"] },
    {
      files: { "submod/go.mod": 'module "github.com/vgotest1/submod" // submod/go.mod\n' },
      tags: ["v1.0.3", "submod/v1.0.4"],
    },
    {
      files: {
        "submod/go.mod": 'module "github.com/vgotest1/submod" // submod/go.mod\nrequire "github.com/vgotest1" v1.1.0\n',
      },
      tags: ["submod/v1.0.5"],
    },
    {
      files: {
        "go.mod": 'module "github.com/rsc/vgotest1" // root go.mod\nrequire "github.com/rsc/vgotest1/submod" v1.0.5\n',
      },
      tags: ["v1.1.0"],
    },
    { parents: ["initial"], files: { "pkg/p.go": "package pkg\n" } },
    { files: { "go.mod": 'module "github.com/vgotest1/v2"\n' } },
    { files: { "go.mod": 'module "github.com/vgotest1"\n' } },
    { files: { "v2/go.mod": 'module "github.com/vgotest1/v2"\n' } },
    { files: { "go.mod": 'module "github.com/vgotest1/v2"\n' }, branches: ["master"] },
    { files: { "v2/pkg/q.go": "package q\n" }, tags: ["v2.0.6"] },
    { parents: ["initial"], files: { "pkg/p.go": "package p // pkg/p.go\n" }, tags: ["v2.0.0"] },
  ],
};

/** A file of every kind that `git archive` and the rules of module zips treat in their own way. */
const archiveRules: RepoDescription = {
  commits: [
    {
      files: {
        "go.mod": "module example.com/archive\n\ngo 1.24\n",
        LICENSE: "A licence for the fixture.\n",
        ".gitattributes":
          "hidden/** export-ignore\nversion.txt export-subst\ncrlf.txt text eol=crlf\nident.txt ident\n*.bin binary\n",
        "a.go": "package archive\n",
        "hidden/h.go": "package hidden\n",
        "version.txt": "$Format:%H$\n",
        "crlf.txt": "one\ntwo\n",
        "ident.txt": "x $Id$ y\n",
        "data.bin": new Uint8Array([0, 13, 10, 255]),
        "tool.sh": { executable: "#!/bin/sh\n" },
        "link.go": { symlink: "a.go" },
        "linked-folder": { symlink: "nested" },
        "big.bin": { lfs: { sha256: "ab".repeat(32), size: 1_000_000 } },
        "third/party": { gitlink: "1".repeat(40) },
        "nested/go.mod": "module example.com/archive/nested\n",
        "nested/n.go": "package nested\n",
        "vendor/modules.txt": "# example.com/x v1.0.0\n",
        "vendor/example.com/x/x.go": "package x\n",
        "pkg/vendor/v.go": "package v\n",
      },
      tags: ["v1.0.0", "nested/v1.0.0"],
    },
  ],
};

/** By the name of the repository. */
export const gitFixtures = {
  "archive-rules": archiveRules,
  "commit-after-tag": commitAfterTag,
  gitrepo1,
  "gitrepo-sha256": gitrepoSha256,
  gitreposubdir,
  gitreposubdirv2,
  hello,
  "no-tags": noTags,
  "odd-tags": oddTags,
  prefixtagtests,
  querytest,
  "retract-pseudo": retractPseudo,
  "semver-branch": semverBranch,
  tagtests,
  "vgotest1-like": vgotest1Like,
  v2module,
  v2sub,
} as const satisfies Record<string, RepoDescription>;
