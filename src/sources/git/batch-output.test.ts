import { describe, expect, test } from "vitest";
import { BatchOutput, type GitObject } from "./batch-output.ts";

const hash = "0123456789".repeat(4);
const blob = (content: string): string => `${hash} blob ${Buffer.byteLength(content)}\n${content}\n`;

function readAll(output: BatchOutput, text: string, chunkBytes: number): (GitObject | undefined)[] {
  const bytes = Buffer.from(text);
  const found: (GitObject | undefined)[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) found.push(...output.read(bytes.subarray(at, at + chunkBytes)));
  return found;
}

describe("what cat-file prints", () => {
  const printed = `${blob("one\n")}v1 missing\n${blob("")}${blob("two\nlines")}abc ambiguous\n`;

  test.each([1, 2, 7, 50, 1_000])("is read in pieces of %i bytes", (chunkBytes) => {
    const found = readAll(new BatchOutput(() => true), printed, chunkBytes);
    expect(found.map((object) => object?.content?.toString())).toEqual([
      "one\n",
      undefined,
      "",
      "two\nlines",
      undefined,
    ]);
    expect(found.map((object) => object?.type)).toEqual(["blob", undefined, "blob", "blob", undefined]);
  });

  test("an object that is too large is there without its content, and the next one is read", () => {
    const found = readAll(new BatchOutput((size) => size < 6), `${blob("123456")}${blob("12345")}`, 4);
    expect(found).toMatchObject([
      { hash, size: 6, content: undefined },
      { hash, size: 5, content: Buffer.from("12345") },
    ]);
  });
});
