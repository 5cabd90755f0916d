import { describe, expect, test } from "vitest";
import { matchImport } from "./match-import.ts";
import { type GoImport, parseMetaTags } from "./meta-tags.ts";

const foo = "foo/bar git https://github.com/rsc/foo/bar";

describe("go-import tags are found", () => {
  test.each<[name: string, page: string, entries: readonly string[]]>([
    ["in a lone tag", tag(foo), [foo]],
    ["in several tags", tag(foo) + tag("baz/quux git http://x.y/z"), [foo, "baz/quux git http://x.y/z"]],
    ["within a head", `<head>${tag(foo)}</head>`, [foo]],
    ["before the body", `${tag(foo)}<body>${tag("late git https://x.y")}`, [foo]],
    ["before the end of the head", `${tag(foo)}</HEAD>${tag("late git https://x.y")}`, [foo]],
    ["but not behind a head that closes itself", `<head/>${tag(foo)}`, []],
    ["behind a doctype", `<!doctype html>${tag(foo)}`, [foo]],
    [
      "without quotes, behind a title, before markup that is no XML",
      `<!doctype html><title>Page Not Found</title><meta name=go-import content="${foo}"><div style=position:relative>`,
      [foo],
    ],
    ["before broken markup", `${tag(foo)}<a href=/x><<<`, [foo]],
    ["with the attributes the other way round, in capitals", `<META CONTENT='${foo}' NAME='go-import' />`, [foo]],
    ["with attributes that have no value", `<meta hidden name="go-import" content="${foo}">`, [foo]],
    [
      "with entities",
      `<meta name="go-import" content="foo/bar git https://x.y/?a&amp;b&#x26;&unknown;">`,
      ["foo/bar git https://x.y/?a&b&&unknown;"],
    ],
    [
      "with any white space between the fields",
      `<meta name="go-import" content="\n foo/bar\t git\r\n https://x.y ">`,
      ["foo/bar git https://x.y"],
    ],
    ["with a subdirectory", tag(`${foo} sub/dir`), [`${foo} sub/dir`]],
    ["but not with two or five fields", tag("foo/bar git") + tag(`${foo} a b`), []],
    ["but not under another spelling of the name", `<meta name="Go-Import" content="${foo}">`, []],
    ["but not in a comment", `<!-- ${tag(foo)} -->`, []],
    ["but not in a CDATA section", `<![CDATA[${tag(foo)}]]>`, []],
    ["in a page that says it is UTF-8", `<?xml version="1.0" encoding="UTF-8"?>${tag(foo)}`, [foo]],
  ])("%s", (_name, page, entries) => {
    expect(show(parse(page).imports)).toEqual(entries);
    expect(parse(page).problem).toBeUndefined();
  });

  test.each([
    ["<a href=/x>", "XML syntax error on line 1: expected /> in element"],
    ["\n\n<p>a < b</p>", "XML syntax error on line 3: expected element name after <"],
    ["<script>if (a && b <= c) {}</script>", "XML syntax error on line 1: expected element name after <"],
    ["<!-- ", "XML syntax error on line 2: unexpected EOF"],
    ["<!-- a -- b -->", 'XML syntax error on line 1: invalid sequence "--" not allowed in comments'],
    ["<p>\u0001</p>", "XML syntax error on line 1: illegal character code U+0001"],
    ['<?xml encoding="latin1"?>', 'xml: opening charset "latin1": can\'t decode XML document using charset "latin1"'],
    ['<?xml version="1.1"?>', 'xml: unsupported version "1.1"; only version 1.0 is supported'],
  ])("or the page is refused where it stops being markup: %j", (page, problem) => {
    expect(parse(page + tag(foo))).toEqual({ imports: [], problem });
  });

  test("of the kind mod first, and instead of others with the same prefix", () => {
    const page =
      tag(foo) +
      tag("myitcv.io git https://github.com/myitcv/x") +
      tag("foo/bar mod https://m.od") +
      tag("myitcv.io/blah2 mod https://m.od/2");
    expect(show(parse(page).imports)).toEqual([
      "foo/bar mod https://m.od",
      "myitcv.io/blah2 mod https://m.od/2",
      "myitcv.io git https://github.com/myitcv/x",
    ]);
  });
});

describe("the entry for an import path", () => {
  const target = "https://example.com/repo/target";
  const blah = ["myitcv.io/blah2 mod https://raw.example.com/pubx/master", "myitcv.io git https://github.com/myitcv/x"];

  test.each<[path: string, entries: readonly string[], expected: string | undefined]>([
    ["example.com/user/foo", [`example.com/user/foo git ${target}`], `example.com/user/foo git ${target}`],
    ["example.com/user/foo/", [`example.com/user/foo git ${target}`], `example.com/user/foo git ${target}`],
    [
      "example.com/user/foo",
      [`example.com/user/foo git ${target}`, `example.com/user/fooa git ${target}`],
      `example.com/user/foo git ${target}`,
    ],
    [
      "example.com/user/fooa",
      [`example.com/user/foo git ${target}`, `example.com/user/fooa git ${target}`],
      `example.com/user/fooa git ${target}`,
    ],
    ["example.com/user/foo/bar", [`example.com/user/ git ${target}`], `example.com/user/ git ${target}`],
    ["example.com", [`example.com/user/foo git ${target}`], undefined],
    ["different.example.com/user/foo", [`example.com/user/foo git ${target}`], undefined],
    ["myitcv.io/blah2/foo", blah, blah[0]],
    ["myitcv.io/other", blah, blah[1]],
    [
      "example.com/user/foo",
      [`example.com/user/foo git ${target} subdir`],
      `example.com/user/foo git ${target} subdir`,
    ],
  ])("%s", (path, entries, expected) => {
    const match = matchImport(entries.map(parseEntry), path);
    expect(match.kind === "match" ? show([match.found])[0] : undefined).toBe(expected);
  });

  test.each([
    "example.com/user/foo/bar",
    "example.com/user/foo/bar/baz",
    "example.com/user/foo/bar/baz/qux",
    "example.com/user/foo/bar/baz/",
  ])("%s is not to be had from two nested repositories", (path) => {
    const entries = [`example.com/user/foo git ${target}`, `example.com/user/foo/bar git ${target}`].map(parseEntry);
    expect(matchImport(entries, path)).toEqual({
      kind: "several",
      problem: `multiple meta tags match import path "${path}"`,
    });
  });

  test("is not to be had from the same prefix with and without a subdirectory, nor from two of the kind mod", () => {
    for (const entries of [
      [`a.b/c git ${target} sub`, `a.b/c git ${target}`],
      [`a.b mod ${target}`, `a.b/c mod ${target}`],
    ]) {
      expect(matchImport(entries.map(parseEntry), "a.b/c").kind).toBe("several");
    }
  });

  test("is missing, and every entry is named that did not match", () => {
    const entries = ["a.b/d git https://x.y", "a.b/e git https://x.y"].map(parseEntry);
    expect(matchImport(entries, "a.b/c")).toEqual({
      kind: "none",
      problem: "meta tag a.b/d did not match import path a.b/c, meta tag a.b/e did not match import path a.b/c",
    });
  });
});

function parseEntry(text: string): GoImport {
  const [prefix = "", vcs = "", url = "", subdir = ""] = text.split(" ");
  return { prefix, vcs, url, subdir };
}

function show(imports: readonly GoImport[]): string[] {
  return imports.map(({ prefix, vcs, url, subdir }) => `${prefix} ${vcs} ${url} ${subdir}`.trimEnd());
}

function tag(content: string): string {
  return `<meta name="go-import" content="${content}">\n`;
}

function parse(page: string): ReturnType<typeof parseMetaTags> {
  return parseMetaTags(Buffer.from(page));
}
