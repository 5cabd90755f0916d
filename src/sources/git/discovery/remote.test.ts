import { describe, expect, test } from "vitest";
import { checkRemote, repoRootProblem, subdirProblem } from "./remote.ts";

describe("go takes a remote", () => {
  test.each(["http://", "git+ssh://", "https://a.b/c", "svn+ssh://x", "server:path", "ext::sh -c x"])(
    "%s",
    (remote) => {
      expect(repoRootProblem(remote)).toBeUndefined();
    },
  );

  test.each([
    ["", "no scheme"],
    ["http#://", "no scheme"],
    ["-config", "no scheme"],
    ["a.b/c", "no scheme"],
    ["file:///x", "file scheme disallowed"],
    ["-config://", 'parse "-config://": first path segment in URL cannot contain colon'],
    ["://x", 'parse "://x": missing protocol scheme'],
  ])("but not %j: %s", (remote, problem) => {
    expect(repoRootProblem(remote)).toBe(problem);
  });
});

describe("git gets a remote", () => {
  test.each([
    ["https://git.corp/a/b.git", "https://git.corp/a/b.git"],
    ["HTTPS://git.corp:8443/a/b", "https://git.corp:8443/a/b"],
    ["https://me@git.corp/a", "https://git.corp/a"],
    ["ssh://git@git.corp/a", "ssh://git@git.corp/a"],
    ["git+ssh://git@[2001:db8::1]:2222/~u/a", "git+ssh://git@[2001:db8::1]:2222/~u/a"],
    ["https://git.corp", "https://git.corp"],
  ])("%s as %s", (remote, url) => {
    expect(checkRemote(remote, { insecure: false })).toMatchObject({ url });
  });

  test.each(["http://git.corp/a", "git://git.corp/a"])("%s only where GOINSECURE allows it", (remote) => {
    expect(checkRemote(remote, { insecure: true })).toMatchObject({ url: remote });
    expect(checkRemote(remote, { insecure: false })).toMatchObject({ refusal: { kind: "unsafe" } });
  });

  test.each([
    ["git.corp:a/b.git", "local"],
    ["ext::sh -c touch% /tmp/x", "local"],
    ["ext::https://x/y", "unsafe"],
    ["fd::17://x", "unsafe"],
    ["ftp://git.corp/a", "unsafe"],
    ["-oProxyCommand=x", "invalid"],
    ["--upload-pack=x://y", "invalid"],
    ["ssh://-oProxyCommand=x/y", "invalid"],
    ["ssh://-oProxyCommand=x@host/y", "unsafe"],
    ["ssh://git@-host/y", "invalid"],
    ["https://git.corp/a\u0000b", "invalid"],
    ["https://git.corp\\@evil/a", "invalid"],
    ["https://git%2ecorp/a", "invalid"],
    ["https:///a", "invalid"],
    ["https://1.2.3.999/a", "invalid"],
    ["https://[:::]/a", "invalid"],
    ["https://[::1", "invalid"],
    ["https://git.corp:port/a", "invalid"],
    ["https://me:secret@git.corp/a", "unsafe"],
    ["ssh://me:secret@git.corp/a", "unsafe"],
    ["https://git.corp@evil.com@x/a", "invalid"],
  ])("but not %j, which is %s", (remote, kind) => {
    const answer = checkRemote(remote, { insecure: true });
    expect(answer).toMatchObject({ refusal: { kind } });
    expect(JSON.stringify(answer)).not.toContain("secret");
  });

  test("of a GOPROXY only over HTTP", () => {
    expect(checkRemote("https://m.od/x", { insecure: false, vcs: "mod" })).toMatchObject({ url: "https://m.od/x" });
    expect(checkRemote("ssh://m.od/x", { insecure: true, vcs: "mod" })).toMatchObject({ refusal: { kind: "unsafe" } });
  });
});

test.each([
  ["", undefined],
  ["sub/dir", undefined],
  ["a-b/.c", undefined],
  ["/leading/slash", "leading slash"],
  ["-leading/hyphen", "leading hyphen"],
  [":(glob)x", "leading colon"],
  ["../x", "relative path element"],
  ["a/../../x", "relative path element"],
  ["a/./b", "relative path element"],
  ["a/*/b", "wildcard or control character"],
  ["a?", "wildcard or control character"],
  ["[ab]", "wildcard or control character"],
  ["a\\b", "wildcard or control character"],
  ["a\u0001", "wildcard or control character"],
])("the folder %j: %s", (subdir, problem) => {
  expect(subdirProblem(subdir)).toBe(problem);
});
