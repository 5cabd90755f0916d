import { expect, test } from "vitest";
import { createLateness } from "./lateness.ts";

test.each([
  ["few answers tell nothing", "LLLLLLL", false],
  ["more than half late is usual", "LLLLLPPP", true],
  ["half is not", "LLLLPPPP", false],
  ["only the newest 32 count", `${"L".repeat(32)}${"P".repeat(16)}`, false],
  ["late ones push the quick ones out", `${"P".repeat(100)}${"L".repeat(17)}`, true],
])("%s", (_, answers, isUsual) => {
  const lateness = createLateness();
  for (const answer of answers) lateness.add(answer === "L");
  expect(lateness.isUsual).toBe(isUsual);
});
