import assert from "node:assert/strict";
import { ProtocolError } from "../../src/protocol/error.ts";
import { matchImport } from "../../src/sources/git/discovery/match-import.ts";
import { type MetaTags, parseMetaTags } from "../../src/sources/git/discovery/meta-tags.ts";
import { checkRemote, subdirProblem } from "../../src/sources/git/discovery/remote.ts";

export const name = "meta-tags";

export const seeds: readonly Uint8Array[] = [
  '<!doctype html><html><head>\n<meta charset="utf-8">\n<meta name="go-import" content="x.y/z git https://x.y/z.git sub/dir">\n</head><body>',
  "<!doctype html><title>Page Not Found</title><meta name=go-import content='x.y git https://x.y'><div style=position:relative>DRAFT</div>",
  '<?xml version="1.0" encoding="utf-8"?>\r\n<HEAD><META CONTENT="x.y/z mod https://x.y/m" NAME="go-import"/></HEAD>',
  '<!DOCTYPE html [ <!ENTITY a "<>\'"> <!-- -- > " --> ]><a:meta name="go-import" content="x.y svn+ssh://x &amp;&#38;&#x26;&nbsp;&#55296;"/>',
  '<script>if (a < b && c > d) { x = "</head>" }</script><!-- x --><![CDATA[ ]] > ]]>]]&gt;<meta hidden name = go-import content>',
  "<p>größer \u{1f600} ]]> <é:ü é='ß'/>",
  "<meta name='go-import' content='x.y/z git ext::sh%20-c'><meta name=\"go-import\" content=\"x.y/z git -oProxyCommand=x\">",
].map((text) => Buffer.from(text));

export const dictionary: readonly string[] = [
  '<meta name="go-import" content="x.y/z git https://x.y/z.git">',
  '<meta name="go-import" content="x.y/z mod http://u:p@x.y">',
  "<meta ",
  "name=",
  "content=",
  '"go-import"',
  "go-import",
  "x.y/z ",
  " mod ",
  " git ",
  " ssh://git@x.y/",
  "ext::",
  "../",
  "</head>",
  "<body>",
  "<!--",
  "-->",
  "<![CDATA[",
  "]]>",
  "<!D ",
  "<?xml ",
  "?>",
  ' version="1.0"',
  " encoding='ascii'",
  "&amp;",
  "&#x",
  "&#1114112;",
  "&#0;",
  "/>",
  "</",
  ":",
  "\r\n",
  "\u0000",
  "\ufffe",
  "é",
];

export function fuzz(input: Uint8Array): void {
  const { imports, problem } = parseMetaTags(input);
  assert.deepEqual(parseMetaTags(input), { imports, problem });
  if (problem !== undefined) {
    assert.equal(imports.length, 0);
    throw new ProtocolError("malformed_request", problem);
  }
  modulesComeFirst(imports);
  const match = matchImport(imports, "x.y/z/a");
  if (match.kind !== "match") throw new ProtocolError("malformed_request", match.problem);
  const { prefix, url, subdir } = match.found;
  assert.ok(`x.y/z/a/`.startsWith(prefix));
  if (subdir !== "" && subdirProblem(subdir) === undefined)
    assert.doesNotMatch(`/${subdir}/`, /\/\.\.?\/|^\/[-:/]|[*?[\\\0]/);
  const remote = checkRemote(url, { insecure: true });
  if ("refusal" in remote) throw new ProtocolError("malformed_request", remote.refusal.problem);
  assert.match(remote.url, /^(https?|ssh|git\+ssh|git):\/\/([A-Za-z0-9_][^/@:\s]*@)?[A-Za-z0-9[][^/@\s]*(\/|$)/);
}

function modulesComeFirst(imports: MetaTags["imports"]): void {
  const firstOther = imports.findIndex(({ vcs }) => vcs !== "mod");
  if (firstOther === -1) return;
  const modules = new Set(imports.slice(0, firstOther).map(({ prefix }) => prefix));
  for (const { vcs, prefix } of imports.slice(firstOther)) assert.ok(vcs !== "mod" && !modules.has(prefix));
}
