import { expect, test } from "vitest";
import { findStatic } from "./static-hosts.ts";

test.each([
  ["github.com/golang/groupcache", "github.com/golang/groupcache"],
  ["github.com/golang/groupcache/lru/v2", "github.com/golang/groupcache"],
  ["bitbucket.org/workspace/pkgname", "bitbucket.org/workspace/pkgname"],
  ["hub.jazz.net/git/user1/pkgname", "hub.jazz.net/git/user1/pkgname"],
  ["hub.jazz.net/git/user1/pkgname/submodule/submodule/submodule", "hub.jazz.net/git/user1/pkgname"],
  ["hub.jazz.net/git/user/pkg.name", "hub.jazz.net/git/user/pkg.name"],
  ["git.openstack.org/openstack/swift", "git.openstack.org/openstack/swift"],
  ["git.openstack.org/openstack/swift.git", "git.openstack.org/openstack/swift.git"],
  ["git.openstack.org/openstack/swift/go/hummingbird", "git.openstack.org/openstack/swift"],
  ["git.apache.org/package-name.git", "git.apache.org/package-name.git"],
  ["git.apache.org/package-name_2.x.git/path/to/lib", "git.apache.org/package-name_2.x.git"],
])("%s is in the repository %s", (path, root) => {
  expect(findStatic(path)).toEqual({ kind: "repository", vcs: "git", root, url: `https://${root}` });
});

test("chiselapp.com is Fossil", () => {
  const root = "chiselapp.com/user/kyle/repository/fossilgg";
  expect(findStatic(root)).toEqual({ kind: "repository", vcs: "fossil", root, url: `https://${root}` });
});

test.each([
  ["github.com", 'invalid github.com import path "github.com"'],
  ["github.com/user", 'invalid github.com import path "github.com/user"'],
  ["github.com/~user/repo", 'invalid github.com import path "github.com/~user/repo"'],
  ["github.com/user/unicode/испытание", 'invalid github.com import path "github.com/user/unicode/испытание"'],
  ["github.com/user/repo.git", "invalid version control suffix in github.com/ path"],
  ["github.com/user/repo.bzr/sub", "invalid version control suffix in github.com/ path"],
  ["bitbucket.org/user/repo.hg", "invalid version control suffix in bitbucket.org/ path"],
  ["hub.jazz.net/git/User 1/pkgname", 'invalid hub.jazz.net/git import path "hub.jazz.net/git/User 1/pkgname"'],
  ["hub.jazz.net/git/user1/pkg name", 'invalid hub.jazz.net/git import path "hub.jazz.net/git/user1/pkg name"'],
  ["hub.jazz.net/git/user.1/pkgname", 'invalid hub.jazz.net/git import path "hub.jazz.net/git/user.1/pkgname"'],
  ["hub.jazz.net/git/USER/pkgname", 'invalid hub.jazz.net/git import path "hub.jazz.net/git/USER/pkgname"'],
  ["git.openstack.org", 'invalid git.openstack.org import path "git.openstack.org"'],
  ["git.openstack.org/openstack", 'invalid git.openstack.org import path "git.openstack.org/openstack"'],
  [
    "git.apache.org/package name/path/to/lib",
    'invalid git.apache.org import path "git.apache.org/package name/path/to/lib"',
  ],
  [
    "git.apache.org/package-name/path/to/lib",
    'invalid git.apache.org import path "git.apache.org/package-name/path/to/lib"',
  ],
  [
    "chiselapp.com/kyle/repository/fossilgg",
    'invalid chiselapp.com import path "chiselapp.com/kyle/repository/fossilgg"',
  ],
  ["chiselapp.com/user/kyle/fossilgg", 'invalid chiselapp.com import path "chiselapp.com/user/kyle/fossilgg"'],
  ["https://example.com/x", '"https://" not allowed in import path'],
  ["example.net", "no modules on example.net"],
  ["example.net/x", "no modules on example.net"],
  ["rsc.io", "rsc.io is not a module"],
  ["a.b/c~d.e/f.git", "mismatched repo: found d.e/f.git for a.b/c~d.e/f.git"],
])("%s is refused: %s", (path, problem) => {
  expect(findStatic(path)).toEqual({ kind: "invalid", problem });
});

test.each([
  ["example.com/foo.git/bar", "git", "example.com/foo.git", "example.com/foo"],
  ["example.com/a/~b/foo.git", "git", "example.com/a/~b/foo.git", "example.com/a/~b/foo"],
  ["example.com/a.git/b.git/c", "git", "example.com/a.git", "example.com/a"],
  ["example.com/a.hg/b.git", "hg", "example.com/a.hg", "example.com/a"],
  ["example.com/a.svn", "svn", "example.com/a.svn", "example.com/a"],
  ["example.com/a.bzr", "bzr", "example.com/a.bzr", "example.com/a"],
  ["example.com/a.fossil/x", "fossil", "example.com/a.fossil", "example.com/a"],
  ["example.com/a.b.git.git", "git", "example.com/a.b.git.git", "example.com/a.b.git"],
])("%s names its %s repository %s", (path, vcs, root, repo) => {
  expect(findStatic(path)).toEqual({ kind: "schemeless", vcs, root, repo });
});

test.each([
  "hub.jazz.net",
  "hubajazz.net",
  "hub2.jazz.net",
  "hub.jazz.net/someotherprefix/user1/pkgname",
  "gitbapache.org",
  "github.community/a/b",
  "example.com/foo.gitx/bar",
  "example.com.git/foo",
  "example.git",
  "example.com/~.git",
  "golang.org/x/text",
  "gopkg.in/yaml.v2",
  "launchpad.net/project",
])("%s has to be asked for", (path) => {
  expect(findStatic(path)).toEqual({ kind: "unknown" });
});

// With go's own regular expressions these would take JavaScript longer than any test may.
test("paths made to be slow are answered", () => {
  for (const path of [
    `${"a.".repeat(4000)}b/c`,
    `x.y/${"a~".repeat(4000)}.git`,
    `x.y${"/a.b".repeat(2000)}`,
    `x.y${"/a.b".repeat(2000)}/~~/c`,
    `x.y/~~${"/a.b".repeat(1000)}/${"a".repeat(4000)}.git`,
  ]) {
    expect(findStatic(path).kind).toMatch(/^(unknown|invalid)$/);
  }
});
