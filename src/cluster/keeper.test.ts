import { describe, expect, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createPuppet, type Puppet } from "../../test/support/puppet.ts";
import { Keeper } from "./keeper.ts";

function scene() {
  const clock = createManualClock();
  const children: Puppet[] = [];
  const lost: { readonly how: string; readonly restartMs: number }[] = [];
  const back: number[] = [];
  const keeper = new Keeper({
    clock,
    start: () => {
      const child = createPuppet(children.length + 1);
      children.push(child);
      return child;
    },
    onLost: ({ how, restartMs }) => void lost.push({ how, restartMs }),
    onBack: (pid) => void back.push(pid),
  });
  const begin = async (): Promise<void> => {
    const begun = keeper.begin();
    children[0]?.becomeReady();
    await begun;
  };
  return { clock, children, lost, back, keeper, begin };
}

const limits = { limitMs: 1000, lingerMs: 500 };

test("a child that ends has a successor at once; one that ends again and again, later and later", async () => {
  const { clock, children, lost, begin } = scene();
  await begin();
  children[0]?.end("SIGKILL");
  await clock.advance(0);
  expect(children).toHaveLength(2);
  children[1]?.fail("no disk");
  await clock.advance(0);
  await clock.advance(250);
  expect(children).toHaveLength(3);
  children[2]?.becomeReady();
  await clock.advance(0);
  children[2]?.end("exit code 1");
  await clock.advance(499);
  expect(children).toHaveLength(3);
  await clock.advance(1);
  expect(children).toHaveLength(4);
  expect(lost).toStrictEqual([
    { how: "SIGKILL", restartMs: 0 },
    { how: "no disk", restartMs: 250 },
    { how: "exit code 1", restartMs: 500 },
  ]);
});

test("a child that was well for long is not held responsible for those before it", async () => {
  const { clock, children, lost, begin } = scene();
  await begin();
  for (let index = 0; index < 3; index += 1) {
    const child = children[index];
    child?.becomeReady();
    for (let minute = 0; minute < 13; minute += 1) {
      await clock.advance(5000);
      child?.say({ sluice: "pong" });
    }
    child?.end("SIGKILL");
    await clock.advance(0);
  }
  expect(lost.map(({ restartMs }) => restartMs)).toStrictEqual([0, 0, 0]);
});

test("one is replaced when the next is ready, and stays when that does not start", async () => {
  const { clock, children, lost, keeper, begin } = scene();
  await begin();
  const failing = keeper.replace(limits);
  await clock.advance(0);
  children[1]?.fail("no such folder");
  await expect(failing).rejects.toThrow("no such folder");
  expect([keeper.current, children[0]?.sent.includes("stop")]).toStrictEqual([children[0], false]);

  const replacing = keeper.replace(limits);
  await clock.advance(0);
  children[2]?.becomeReady();
  await clock.advance(0);
  expect([keeper.current, children[0]?.sent.includes("stop")]).toStrictEqual([children[2], true]);
  children[0]?.end("exit code 0");
  await replacing;
  await clock.advance(0);
  expect([children.length, lost]).toStrictEqual([3, []]);
});

test("one that is to be replaced while it is being started is started anew", async () => {
  const { clock, children, keeper, begin } = scene();
  await begin();
  children[0]?.end("SIGKILL");
  await clock.advance(0);
  await keeper.replace(limits);
  children[1]?.becomeReady();
  await clock.advance(0);
  expect([children[1]?.isKilled, children.length, keeper.current]).toStrictEqual([true, 3, undefined]);
  const up = keeper.up(1000);
  children[2]?.becomeReady();
  await expect(up).resolves.toBe(children[2]);
});

test("one that does not end is killed, and one that hangs, too", async () => {
  const { clock, children, keeper, begin } = scene();
  await begin();
  await clock.advance(20_000);
  children[0]?.say({ sluice: "pong" });
  await clock.advance(34_999);
  expect(children[0]?.isKilled).toBe(false);
  await clock.advance(1);
  expect([children[0]?.isKilled, children.length]).toStrictEqual([true, 2]);

  children[1]?.becomeReady();
  await clock.advance(0);
  const stopped = keeper.stop(limits);
  await clock.advance(6499);
  expect(children[1]?.isKilled).toBe(false);
  await clock.advance(1);
  await stopped;
  expect([children[1]?.isKilled, children.length, clock.sleeping]).toStrictEqual([true, 2, 0]);
});

test("nobody is waited for longer than asked", async () => {
  const { clock, keeper } = scene();
  const up = keeper.up(1000);
  await clock.advance(1000);
  await expect(up).resolves.toBeUndefined();
});

test("asked twice to replace the same one, there is one successor", async () => {
  const { clock, children, keeper, begin } = scene();
  await begin();
  const [first] = children;
  const both = [keeper.replace(limits, first), keeper.replace(limits, first)];
  await clock.advance(0);
  for (const next of children.slice(1)) next.becomeReady();
  await clock.advance(0);
  first?.end("exit code 0");
  await Promise.all(both);
  expect(children).toHaveLength(2);
  expect(keeper.current).toBe(children[1]);
});

test("asked twice to restart the same one, there are never two", async () => {
  const { clock, children, keeper, begin } = scene();
  await begin();
  const [first] = children;
  const both = [keeper.restart(limits, first), keeper.restart(limits, first)];
  await clock.advance(0);
  first?.end("exit code 0");
  await clock.advance(0);
  for (const next of children.slice(1)) next.becomeReady();
  await Promise.all(both);
  expect(children).toHaveLength(2);
  expect(keeper.current).toBe(children[1]);
});

test("one that ends while its successor starts has one successor in the end", async () => {
  const { clock, children, keeper, begin } = scene();
  await begin();
  const replaced = keeper.replace(limits);
  await clock.advance(0);
  children[0]?.end("SIGKILL");
  await clock.advance(0);
  for (const next of children.slice(1)) next.becomeReady();
  await replaced;
  await clock.advance(0);
  const alive = children.slice(1).filter(({ isKilled }) => !isKilled);
  expect(alive).toStrictEqual([keeper.current]);
});

describe("one that hangs while it is started", () => {
  const silent = "a process of Sluice did not answer for 30 s while it was being started; its log says more";

  test("is killed, and the next one has more time, as a machine may be that slow", async () => {
    const { clock, children, lost, begin } = scene();
    await begin();
    children[0]?.end("SIGKILL");
    await clock.advance(0);
    // It has twice the time, as one was lost before.
    await clock.advance(59_999);
    expect(children.map(({ isKilled }) => isKilled)).toStrictEqual([false, false]);
    await clock.advance(1);
    await clock.advance(250);
    expect(children.map(({ isKilled }) => isKilled)).toStrictEqual([false, true, false]);
    expect(lost).toStrictEqual([
      { how: "SIGKILL", restartMs: 0 },
      { how: silent.replace("30", "60"), restartMs: 250 },
    ]);
    await clock.advance(119_999);
    expect(children[2]?.isKilled).toBe(false);
    await clock.advance(1);
    expect(children[2]?.isKilled).toBe(true);
  });

  test("and answers is killed, too, when it is not ready in time", async () => {
    const { clock, children, lost, keeper } = scene();
    const begun = keeper.begin();
    const [first] = children;
    for (let seconds = 0; seconds < 120; seconds += 5) {
      expect(first?.isKilled).toBe(false);
      first?.say({ sluice: "pong" });
      await clock.advance(5000);
    }
    expect(first?.isKilled).toBe(true);
    expect(lost).toMatchObject([{ how: expect.stringContaining("was not ready within 120 s") }]);
    children[1]?.becomeReady();
    expect(await begun).toBe(3000);
    expect(keeper.current).toBe(children[1]);
  });

  test("is tried three times when it is the first, and then it is said", async () => {
    const { clock, children, lost, keeper } = scene();
    const begun = keeper.begin();
    const outcome = begun.then(() => "ready", String);
    await clock.advance(30_000);
    await clock.advance(60_000 + 250);
    await clock.advance(120_000);
    expect(await outcome).toContain("did not answer for 120 s");
    expect(children.map(({ isKilled }) => isKilled)).toStrictEqual([true, true, true]);
    expect([lost.map(({ how }) => how)[0], lost.length, clock.sleeping]).toStrictEqual([silent, 2, 0]);
  });

  test("is no successor of one that works", async () => {
    const { clock, children, keeper, begin } = scene();
    await begin();
    const outcome = keeper.replace(limits).then(() => "replaced", String);
    for (let seconds = 0; seconds < 30; seconds += 5) {
      children[0]?.say({ sluice: "pong" });
      await clock.advance(5000);
    }
    expect(await outcome).toContain(silent);
    expect([children[1]?.isKilled, keeper.current]).toStrictEqual([true, children[0]]);
  });

  test("is killed when all is to end", async () => {
    const { clock, children, keeper, begin } = scene();
    await begin();
    children[0]?.end("SIGKILL");
    await clock.advance(0);
    await keeper.stop(limits);
    await clock.advance(0);
    expect([children[1]?.isKilled, children.length, clock.sleeping]).toStrictEqual([true, 2, 0]);
  });
});

test("one that was lost is back when another one answers, not before", async () => {
  const { clock, children, lost, back, begin } = scene();
  await begin();
  children[0]?.say({ sluice: "pong" });
  children[0]?.end("SIGKILL");
  await clock.advance(0);
  children[1]?.becomeReady();
  await clock.advance(0);
  children[1]?.end("SIGKILL");
  await clock.advance(250);
  children[2]?.becomeReady();
  await clock.advance(0);
  expect([lost.length, back]).toStrictEqual([2, []]);
  children[2]?.say({ sluice: "pong" });
  children[2]?.say({ sluice: "pong" });
  expect(back).toStrictEqual([3]);
});

test("one that hangs is lost with the reason for which it was killed", async () => {
  const { clock, lost, begin } = scene();
  await begin();
  await clock.advance(30_000);
  expect(lost).toStrictEqual([{ how: "did not answer for 30 s, and was killed", restartMs: 0 }]);
});
