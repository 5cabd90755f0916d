import { describe, expect, test } from "vitest";
import { createVcsRules } from "./govcs.ts";

// Behind these the built-in rules decide, so each list ends with one that lets nothing through to them.
const closed = "*:none";

describe("GOVCS allows", () => {
  test.each([
    ["private:all", "is-public.com/foo", "zzz", false],
    ["private:all", "is-private.com/foo", "zzz", true],
    ["public:all", "is-public.com/foo", "zzz", true],
    ["public:all", "is-private.com/foo", "zzz", false],
    ["public:all,private:none", "is-public.com/foo", "zzz", true],
    ["public:all,private:none", "is-private.com/foo", "zzz", false],
    ["golang.org:git", "golang.org/x/text", "zzz", false],
    ["golang.org:git", "golang.org/x/text", "git", true],
    ["golang.org:zzz", "golang.org/x/text", "zzz", true],
    ["golang.org:zzz", "golang.org/x/text", "git", false],
    ["golang.org:git|hg", "golang.org/x/text", "hg", true],
    ["golang.org:git|hg", "golang.org/x/text", "git", true],
    ["golang.org:git|hg", "golang.org/x/text", "zzz", false],
    ["golang.org:all", "golang.org/x/text", "zzz", true],
    ["other.xyz/p:none,golang.org/x:git", "other.xyz/p/x", "git", false],
    ["other.xyz/p:none,golang.org/x:git", "unexpected.com", "git", false],
    ["other.xyz/p:none,golang.org/x:git", "golang.org/x/text", "zzz", false],
    ["other.xyz/p:none,golang.org/x:git", "golang.org/x/text", "git", true],
    ["other.xyz/p:none,golang.org/x:git|hg", "golang.org/x/text", "hg", true],
    ["other.xyz/p:none,golang.org/x:all", "golang.org/x/text", "zzz", true],
    ["other.xyz/p:none,golang.org/x:git", "golang.org/y/text", "git", false],
    ["other.xyz/p:none,golang.org/x:all", "golang.org/y/text", "git", false],
    [" golang.org : git | hg , other.xyz:off ", "golang.org/x/text", "hg", true],
  ])("%s for %s with %s: %s", (govcs, root, vcs, isAllowed) => {
    const rules = createVcsRules(`${govcs},${closed}`, "is-private.com");
    expect(rules.refusal(vcs, root) === undefined).toBe(isAllowed);
  });

  test("git and hg for public repositories and everything for private ones, where it says nothing else", () => {
    for (const govcs of ["", " ", "example.com:off"]) {
      const rules = createVcsRules(govcs, "*.corp");
      const allowed = ["git", "hg", "svn", "fossil"].map((vcs) => [
        rules.refusal(vcs, "public.org/x") === undefined,
        rules.refusal(vcs, "git.corp/x") === undefined,
      ]);
      expect(allowed).toEqual([
        [true, true],
        [true, true],
        [false, true],
        [false, true],
      ]);
    }
  });

  test("or says in go's words what it forbids", () => {
    const rules = createVcsRules("private:off", "*.corp");
    expect(rules.refusal("git", "git.corp/x")).toBe(
      "GOVCS disallows using git for private git.corp/x; see 'go help vcs'",
    );
    expect(rules.refusal("svn", "a.b/x")).toBe("GOVCS disallows using svn for public a.b/x; see 'go help vcs'");
  });
});

test.each([
  [",", "empty entry in GOVCS"],
  [",x", "empty entry in GOVCS"],
  ["x,", 'malformed entry in GOVCS (missing colon): "x"'],
  ["x:y,", "empty entry in GOVCS"],
  ["x", 'malformed entry in GOVCS (missing colon): "x"'],
  ["x:", 'empty VCS list in GOVCS: "x:"'],
  [":y", 'empty pattern in GOVCS: ":y"'],
  ["x:|", 'empty VCS name in GOVCS: "x:|"'],
  ["x:y|", 'empty VCS name in GOVCS: "x:y|"'],
  ["x:|y", 'empty VCS name in GOVCS: "x:|y"'],
  ["x:y,z:", 'empty VCS list in GOVCS: "z:"'],
  ["x:y,z:|", 'empty VCS name in GOVCS: "z:|"'],
  ["x:y,z:|w", 'empty VCS name in GOVCS: "z:|w"'],
  ["x:y,z:w|", 'empty VCS name in GOVCS: "z:w|"'],
  ["x:y,z:w||v", 'empty VCS name in GOVCS: "z:w||v"'],
  ["x:y,x:z", 'unreachable pattern in GOVCS: "x:z" after "x:y"'],
  ["./x:git", 'relative pattern not allowed in GOVCS: "./x"'],
  ["..:git", 'relative pattern not allowed in GOVCS: ".."'],
])("GOVCS=%s is refused: %s", (govcs, message) => {
  expect(() => createVcsRules(govcs, "")).toThrow(expect.objectContaining({ code: "config_invalid", message }));
});
