import { expect, it } from "vitest";
import type { FileFacts } from "../../core/ports.ts";
import { parseModulePath } from "../../protocol/module/index.ts";
import { type KnownVersion, whyIrreplaceable } from "./replaceable.ts";

const upstream = "https://upstream.example";

it.each<
  readonly [what: string, why: string | undefined, sources: readonly (string | undefined)[], isConfirmed: boolean]
>([
  ["came from an upstream", undefined, [upstream, upstream], false],
  ["came from a folder", undefined, ["file:///mirror"], false],
  ["was found, and is confirmed", undefined, ["adopted", "adopted"], true],
  ["was copied, and is confirmed", undefined, ["copy of s3://modules", upstream], true],
  ["was found, and is not confirmed", "not confirmed", ["adopted", upstream], false],
  ["came from its repository", "from its repository", ["direct", "direct"], true],
  ["came from its repository in part", "from its repository", [upstream, "direct"], true],
  ["has a file that nothing is known of", "nothing recorded", [upstream, undefined], true],
])("a version that %s: %s", (_what, why, sources, isConfirmed) => {
  const version = { ...versionOf("example.com/public", sources), isConfirmed };
  expect(whyIrreplaceable(version, { isPrivate: () => false, hasUpstream: true })).toBe(why);
});

it("keeps what is private, and everything where nothing could be fetched again", () => {
  const version = versionOf("corp.example/lib", [upstream]);
  const isPrivate = (modulePath: string): boolean => modulePath.startsWith("corp.example/");
  expect(whyIrreplaceable(version, { isPrivate, hasUpstream: true })).toBe("private");
  expect(whyIrreplaceable(version, { isPrivate: () => false, hasUpstream: false })).toBe("no upstream");
});

function versionOf(modulePath: string, sources: readonly (string | undefined)[]): KnownVersion {
  const facts = sources.map((source): FileFacts | undefined =>
    source === undefined ? undefined : { key: "k", size: 1, sha256: "00", source, firstSeenAt: 1 },
  );
  return { modulePath: parseModulePath(modulePath), facts, isConfirmed: true };
}
