import { describe, expect, test } from "vitest";
import { createOverrides, type RepoOverride } from "./overrides.ts";

const ssh = { pattern: "git.corp/**", url: "ssh://git@git.corp/{path}.git" };
const teams = { pattern: "git.corp/*/*", url: "https://git.corp/{path}.git" };

/** `root url` or `root url folder`, of each location. */
function matched(override: RepoOverride, path: string): readonly string[] | string | undefined {
  const answer = createOverrides([override]).match(path);
  if (answer?.kind !== "location" && answer?.kind !== "candidates") return answer?.kind;
  const locations = answer.kind === "location" ? [answer.location] : answer.locations;
  return locations.map(({ root, url, subdir }) => `${root} ${url} ${subdir}`.trimEnd());
}

describe("a pattern that says how deep repositories are", () => {
  test.each<[string, readonly string[] | string | undefined]>([
    ["git.corp/team/repo", ["git.corp/team/repo https://git.corp/team/repo.git"]],
    ["git.corp/team/repo/sub/v2", ["git.corp/team/repo https://git.corp/team/repo.git"]],
    ["git.corp/team", "above"],
    ["git.corp", "above"],
    ["git.corporation/team/repo", undefined],
    ["other.corp/team/repo", undefined],
  ])("%s is %j", (path, expected) => {
    expect(matched(teams, path)).toEqual(expected);
  });

  test("says nothing about what is above the part that it spells out", () => {
    const override = { pattern: "example.com/team/*", url: "https://git.corp/{rest}" };
    expect(matched(override, "example.com/team")).toBe("above");
    expect(matched(override, "example.com")).toBeUndefined();
    expect(matched({ pattern: "*.corp/*/*", url: "https://git.corp/{path}" }, "a.corp/team")).toBeUndefined();
  });

  test("may spell out all or a part of an element", () => {
    const url = "https://forge.lan/{host}/{rest}";
    expect(matched({ pattern: "github.com/corp/go-*", url }, "github.com/corp/go-x/y")).toEqual([
      "github.com/corp/go-x https://forge.lan/github.com/go-x",
    ]);
    expect(matched({ pattern: "github.com/corp/go-*", url }, "github.com/corp/x")).toBeUndefined();
  });
});

describe("a pattern with **", () => {
  test.each<[string, readonly string[] | string]>([
    ["git.corp", "above"],
    ["git.corp/repo", ["git.corp/repo ssh://git@git.corp/repo.git"]],
    [
      "git.corp/team/sub/repo",
      [
        "git.corp/team ssh://git@git.corp/team.git",
        "git.corp/team/sub ssh://git@git.corp/team/sub.git",
        "git.corp/team/sub/repo ssh://git@git.corp/team/sub/repo.git",
      ],
    ],
    ["git.corp/team/sub/repo.git/x/v2", ["git.corp/team/sub/repo.git ssh://git@git.corp/team/sub/repo.git"]],
  ])("leaves open which of these %s is in: %j", (path, expected) => {
    expect(matched(ssh, path)).toEqual(expected);
  });

  test("below further elements has the others in {rest}", () => {
    expect(matched({ pattern: "go.corp/src/**", url: "ssh://git@git.corp/{rest}" }, "go.corp/src/a")).toEqual([
      "go.corp/src/a ssh://git@git.corp/a",
    ]);
  });

  test("alone is for every module", () => {
    expect(matched({ pattern: "**", url: "https://mirror.lan/{host}/{path}" }, "a.b/c")).toEqual([
      "a.b/c https://mirror.lan/a.b/c",
    ]);
  });

  test("asks for no more levels than hosts have", () => {
    expect(matched(ssh, `git.corp${"/a".repeat(3000)}`)).toHaveLength(12);
  });
});

describe("one repository for all modules of a pattern", () => {
  const url = "https://git.corp/mono.git";

  test.each<[RepoOverride, string, readonly string[] | string | undefined]>([
    [{ pattern: "go.corp/**", url }, "go.corp/a/b/v2", [`go.corp ${url}`]],
    [{ pattern: "go.corp/**", url }, "go.corp", [`go.corp ${url}`]],
    [{ pattern: "go.corp/mono", url }, "go.corp/mono/a", [`go.corp/mono ${url}`]],
    [{ pattern: "go.corp/mono/*", url }, "go.corp/mono/a", [`go.corp/mono ${url}`]],
    [{ pattern: "go.corp/mono/*", url }, "go.corp/mono", "above"],
    [{ pattern: "*.corp/**", url }, "go.corp/a", [`go.corp ${url}`]],
    [{ pattern: "go.corp/**", url, root: "go.corp/src", subdir: "go" }, "go.corp/src/a", [`go.corp/src ${url} go`]],
    [{ pattern: "go.corp/**", url, root: "go.corp/src" }, "go.corp/other", "mismatch"],
  ])("%j, for %s: %j", (override, path, expected) => {
    expect(matched(override, path)).toEqual(expected);
  });
});

test("the first override that matches decides", () => {
  const overrides = createOverrides([{ pattern: "git.corp/mono", url: "https://git.corp/mono" }, ssh]);
  expect(overrides.match("git.corp/mono/a")).toMatchObject({ location: { url: "https://git.corp/mono" } });
  expect(overrides.match("git.corp/other")).toMatchObject({ kind: "candidates" });
  expect(overrides.match("a.b/c")).toBeUndefined();
  const [inner, outer] = [{ pattern: "git.corp/a/*", url: "https://x.y/{path}" }, ssh];
  expect(createOverrides([inner, outer]).match("git.corp/a")).toMatchObject({ kind: "candidates" });
});

test("a user name in the url is kept for SSH only", () => {
  expect(matched({ ...teams, url: "https://me@git.corp/{path}" }, "git.corp/a/b")).toEqual([
    "git.corp/a/b https://git.corp/a/b",
  ]);
});

test.each<[RepoOverride, RegExp]>([
  [{ pattern: "", url: "https://x.y" }, /"" is no pattern/],
  [{ pattern: "a.b/**/c", url: "https://x.y" }, /is no pattern/],
  [{ pattern: "a.b//c", url: "https://x.y" }, /is no pattern/],
  [{ pattern: "a.b,c.d", url: "https://x.y" }, /is no pattern/],
  [{ pattern: "a.b/[", url: "https://x.y" }, /"a.b\/\[" has a glob that is none/],
  [
    { pattern: "a.b/*", url: "https://x.y/{name}" },
    /has \{name\} in its url; there are \{host\}, \{path\} and \{rest\}/,
  ],
  [{ pattern: "a.b/*", url: "git@x.y:{path}.git" }, /has a url that is none/],
  [{ pattern: "a.b/*", url: "{path}" }, /has a url that is none/],
  [{ pattern: "a.b/*", url: "file:///srv/{path}" }, /has a url that is none: .*file scheme disallowed/],
  [{ pattern: "a.b/*", url: "https://me:secret@x.y/{path}" }, /credentials belong into the configuration/],
  [{ pattern: "a.b", url: "https://x.y", subdir: "../z" }, /has a subdir that is none/],
])("%j is refused", (override, message) => {
  const create = (): unknown => createOverrides([override]);
  expect(create).toThrow(expect.objectContaining({ code: "config_invalid", message: expect.stringMatching(message) }));
  expect(create).not.toThrow("secret");
});
