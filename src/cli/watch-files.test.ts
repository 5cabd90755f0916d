import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { FileWatch, readText } from "./watch-files.ts";

function scene() {
  const folder = mkdtempSync(join(tmpdir(), "sluice-watch-"));
  const file = join(folder, "sluice.toml");
  writeFileSync(file, "one");
  const clock = createManualClock();
  let changes = 0;
  const watch = new FileWatch(clock, () => {
    changes += 1;
  });
  watch.follow(new Map([[file, readText(file)]]));
  onTestFinished(() => {
    watch.close();
    rmSync(folder, { recursive: true });
  });
  return { file, clock, watch, changes: () => changes };
}

test("a change is told once, when the file has come to rest", async () => {
  const { file, clock, changes } = scene();
  await clock.advance(10_000);
  expect(changes()).toBe(0);
  writeFileSync(file, "half of tw");
  await clock.advance(2000);
  writeFileSync(file, "two");
  await clock.advance(2000);
  expect(changes()).toBe(0);
  await clock.advance(2000);
  expect(changes()).toBe(1);
  await clock.advance(20_000);
  expect(changes()).toBe(1);
});

test("a file that is gone, and one that comes back as it was, are changes, too", async () => {
  const { file, clock, changes } = scene();
  rmSync(file);
  await clock.advance(4000);
  expect(changes()).toBe(1);
  writeFileSync(file, "one");
  await clock.advance(4000);
  expect(changes()).toBe(2);
});

test("what was read in between is no news", async () => {
  const { file, clock, watch, changes } = scene();
  writeFileSync(file, "two");
  watch.follow(new Map([[file, readText(file)]]));
  await clock.advance(10_000);
  expect(changes()).toBe(0);
});

test("nothing is looked at any more when it is closed", async () => {
  const { file, clock, watch, changes } = scene();
  watch.close();
  writeFileSync(file, "two");
  await clock.advance(10_000);
  expect(changes()).toBe(0);
  expect(clock.sleeping).toBe(0);
});
