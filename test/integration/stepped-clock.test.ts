import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { createSteppedClock, lacksSteppedClock } from "../support/stepped-clock.ts";

/** Tells both clocks whenever it is asked. */
const teller = 'process.stdin.on("data", () => console.log(JSON.stringify([Date.now(), performance.now()])))';
const hourMs = 3_600_000;

describe.skipIf(lacksSteppedClock())("a clock that steps", () => {
  test("is ahead or behind by what was said last, and what measures time goes on as ever", async () => {
    const clock = createSteppedClock();
    onTestFinished(() => clock.remove());
    const child = spawn(process.execPath, ["-e", teller], {
      env: clock.env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const ask = askerOf(child);
    const [, startedAt] = await ask();
    for (const hours of [0, 5, -30, 0]) {
      clock.setOffset(hours * 3600);
      const [wall, monotonic] = await ask();
      expect(Math.abs(wall - Date.now() - hours * hourMs)).toBeLessThan(hourMs / 2);
      expect(monotonic - startedAt).toBeGreaterThanOrEqual(0);
      expect(monotonic - startedAt).toBeLessThan(hourMs);
    }
  });

  test("leaves nothing behind of a process that was killed", async () => {
    const clock = createSteppedClock();
    const child = spawn(process.execPath, ["-e", teller], { env: clock.env, stdio: ["pipe", "pipe", "inherit"] });
    await askerOf(child)();
    expect(ownedBy(child)).not.toEqual([]);
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    clock.remove();
    expect(ownedBy(child)).toEqual([]);
  });
});

function askerOf({ stdin, stdout }: ChildProcess): () => Promise<readonly [wall: number, monotonic: number]> {
  if (stdin === null || stdout === null) throw new Error("the process has no pipes");
  const lines = createInterface(stdout)[Symbol.asyncIterator]();
  return async () => {
    stdin.write("?\n");
    return JSON.parse((await lines.next()).value ?? "");
  };
}

function ownedBy({ pid }: ChildProcess): readonly string[] {
  return readdirSync("/dev/shm").filter((name) => name.endsWith(`_${pid}`) && name.includes("faketime"));
}
