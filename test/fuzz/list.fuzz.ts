import assert from "node:assert/strict";
import type { Version } from "../../src/protocol/brand.ts";
import { formatList, newestTimed, nextLatestStep, parseList } from "../../src/protocol/goproxy/index.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";

export const name = "list";

export const seeds: readonly Uint8Array[] = [
  "v1.0.0\nv1.10.0\nv1.2.0-rc.1\nv2.0.0+incompatible\nv3.0.0+incompatible\n",
  "v0.0.0-20200102030405-abcdef123456\nv0.1.1-0.20210102030405-abcdef123456\n",
  "v1.0.0 2020-01-01T00:00:00Z\r\n\r\nv1.1.0\t2021-01-01T00:00:00.5+01:00\r\nmaster\nv1\nv1.2.3+meta\n\0\0",
  "<!DOCTYPE html>\n<p>v1.0.0</p>\n",
  "",
].map((text) => Buffer.from(text));

export const dictionary: readonly string[] = [
  "v1.0.0\n",
  "v1.1.0-rc\n",
  "v2.0.0+incompatible\n",
  "v0.0.0-20200102030405-abcdef123456\n",
  "v0.0.0-20209999999999-abcdef123456\n",
  " 2020-01-01T00:00:00Z",
  "\r\n",
  "\u00a0",
  "+meta",
];

const modulePath = parseModulePath("x.y/z");
const goMods = [
  "module x.y/z\n",
  "module x.y/z\nretract [v1.0.0, v1.9.0]\n",
  "module x.y/z\nretract [v0, v9]\n",
  undefined,
];

export function fuzz(input: Uint8Array): void {
  const list = parseList(input);
  const text = formatList(list.versions);
  assert.deepEqual(parseList(text).versions, list.versions);
  const known = new Set([...list.versions, ...list.timed.map(({ version }) => version)]);
  assert.ok(list.timed.length > 0 || newestTimed(list) === undefined);
  for (const goMod of goMods) {
    const read = new Map<Version, string | undefined>();
    let step = nextLatestStep(modulePath, list, read);
    while (step.kind === "read_go_mod") {
      assert.ok(known.has(step.version) && !read.has(step.version) && read.size < 3);
      read.set(step.version, goMod);
      step = nextLatestStep(modulePath, list, read);
    }
    assert.ok(step.kind === "none" || known.has(step.version));
  }
}
