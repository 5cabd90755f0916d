import { expect, test } from "vitest";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { checksumMismatch } from "./checksum-mismatch.ts";

test.each([
  ["https://proxy.example.com", "  https://proxy.example.com sent it: its copy was changed"],
  ["direct", "  direct sent it, the repository itself: its tag was moved"],
])("what %s sent is told with both hashes, and what may have happened there", (source, words) => {
  const file = {
    kind: "mod",
    modulePath: parseModulePath("example.com/m"),
    version: parseVersion("v1.0.0"),
    h1: hashGoMod(Buffer.from("sent")),
    source,
    isDirect: false,
  } as const;
  const expected = hashGoMod(Buffer.from("right"));
  const { message } = checksumMismatch(file, "sum.example.com", expected);
  const lines = message.split("\n");
  expect(lines.slice(0, 3)).toEqual([
    "verifying example.com/m@v1.0.0/go.mod: checksum mismatch",
    `  downloaded: ${file.h1}`,
    `  sum.example.com: ${expected}`,
  ]);
  expect(lines[3]).toContain(words);
});
