import { expect, test } from "vitest";
import { LineBlock } from "./line-block.ts";

test("lines come out in order and whole, in blocks no larger than the buffer, but for a line that is larger itself", () => {
  const blocks: string[] = [];
  const block = new LineBlock(256, (text) => blocks.push(text));
  const lines = ["a".repeat(50), "ü€𝄞", "b".repeat(60), "c".repeat(500), "", "d"].map((line) => `${line}\n`);
  for (const line of lines) block.write(line);
  block.flush();
  block.flush();
  expect(blocks.join("")).toBe(lines.join(""));
  expect(blocks.filter((text) => Buffer.byteLength(text) > 256)).toEqual([lines[3]]);
  expect(blocks.length).toBeLessThan(lines.length);
});
