import { expect, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import type { Child } from "./child.ts";
import type { FromChild, ToChild } from "./control.ts";
import { Keeper } from "./keeper.ts";

interface Puppet extends Child {
  readonly sent: ToChild["sluice"][];
  isKilled: boolean;
  becomeReady(): void;
  fail(why: string): void;
  end(how: string): void;
  say(message: FromChild): void;
}

function scene() {
  const clock = createManualClock();
  const children: Puppet[] = [];
  const lost: { readonly how: string; readonly restartMs: number }[] = [];
  const keeper = new Keeper({
    clock,
    start: () => {
      const child = createPuppet(children.length + 1);
      children.push(child);
      return child;
    },
    onLost: ({ how, restartMs }) => void lost.push({ how, restartMs }),
  });
  const begin = async (): Promise<void> => {
    const begun = keeper.begin();
    children[0]?.becomeReady();
    await begun;
  };
  return { clock, children, lost, keeper, begin };
}

function createPuppet(pid: number): Puppet {
  const ready = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<string>();
  const listeners = new Set<(message: FromChild) => void>();
  const puppet: Puppet = {
    pid,
    sent: [],
    isKilled: false,
    ready: ready.promise,
    ended: ended.promise,
    send: ({ sluice }) => void puppet.sent.push(sluice),
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    kill() {
      puppet.isKilled = true;
      ended.resolve("SIGKILL");
    },
    becomeReady: () => ready.resolve(3000),
    fail: (why) => ready.reject(new Error(why)),
    end: (how) => ended.resolve(how),
    say: (message) => {
      for (const listener of listeners) listener(message);
    },
  };
  return puppet;
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
  children[1]?.fail("no such folder");
  await expect(failing).rejects.toThrow("no such folder");
  expect([keeper.current, children[0]?.sent.includes("stop")]).toStrictEqual([children[0], false]);

  const replacing = keeper.replace(limits);
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
