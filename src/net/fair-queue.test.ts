import { expect, test } from "vitest";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { createFairQueue, type FairQueue } from "./fair-queue.ts";

const forever = new AbortController().signal;

interface Setup {
  readonly clock: ManualClock;
  readonly queue: FairQueue;
  /** Names of tasks in the order they started. */
  readonly started: string[];
  /** Puts a task in; it runs until `finish(name)`. */
  readonly start: (client: string, name: string, signal?: AbortSignal) => Promise<unknown>;
  readonly finish: (name: string) => Promise<void>;
}

function setup(
  options: { concurrency?: number; maxWaiting?: number; maxWaitMs?: number; onChange?: () => void } = {},
): Setup {
  const clock = createManualClock();
  const queue = createFairQueue({
    clock,
    name: "https://upstream.example",
    concurrency: 1,
    maxWaiting: 100,
    maxWaitMs: 60_000,
    ...options,
  });
  const started: string[] = [];
  const running = new Map<string, () => void>();
  return {
    clock,
    queue,
    started,
    start: (client, name, signal = forever) =>
      queue.run(client, signal, () => {
        started.push(name);
        const { promise, resolve } = Promise.withResolvers<void>();
        running.set(name, resolve);
        return promise.then(() => name);
      }),
    async finish(name) {
      running.get(name)?.();
      await clock.advance(0);
    },
  };
}

test("no more tasks run than may", async () => {
  const { queue, start, started, finish } = setup({ concurrency: 2 });
  const all = ["1", "2", "3", "4"].map((name) => start("a", name));
  expect([queue.running, queue.waiting, started]).toEqual([2, 2, ["1", "2"]]);
  await finish("1");
  expect([queue.running, queue.waiting, started]).toEqual([2, 1, ["1", "2", "3"]]);
  for (const name of ["2", "3", "4"]) await finish(name);
  expect(await Promise.all(all)).toEqual(["1", "2", "3", "4"]);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("clients take turns, and within a client the first comes first", async () => {
  const { start, started, finish } = setup();
  const order = [
    ["a", "a1"],
    ["a", "a2"],
    ["a", "a3"],
    ["a", "a4"],
    ["b", "b1"],
    ["b", "b2"],
    ["c", "c1"],
  ] as const;
  const all = order.map(([client, name]) => start(client, name));
  for (let index = 0; index < order.length; index++) await finish(started[index] ?? "");
  await Promise.all(all);
  expect(started).toEqual(["a1", "a2", "b1", "c1", "a3", "b2", "a4"]);
});

test("a newcomer does not overtake who waits", async () => {
  const { queue, start, started, finish } = setup();
  const first = [start("a", "a1"), start("b", "b1")];
  const finished = finish("a1");
  const late = start("c", "c1");
  await finished;
  expect([started, queue.running, queue.waiting]).toEqual([["a1", "b1"], 1, 1]);
  await finish("b1");
  await finish("c1");
  await Promise.all([...first, late]);
});

test("a task that fails frees its place", async () => {
  const { queue } = setup();
  await expect(queue.run("a", forever, () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  expect(await queue.run("a", forever, async () => "fine")).toBe("fine");
  expect(queue.running).toBe(0);
});

test("who gives up while waiting leaves no trace", async () => {
  const { clock, queue, start, started, finish } = setup();
  const caller = new AbortController();
  const first = start("a", "a1");
  const given = failureOf(start("b", "b1", caller.signal));
  const last = start("b", "b2");
  caller.abort();
  expect(await given).toMatchObject({ code: "cancelled" });
  expect(queue.waiting).toBe(1);
  await finish("a1");
  await finish("b2");
  await Promise.all([first, last]);
  expect(started).toEqual(["a1", "b2"]);
  expect(clock.sleeping).toBe(0);
});

test("who gave up before is not let in", async () => {
  const { start, started } = setup();
  await expect(start("a", "a1", AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
  expect(started).toEqual([]);
});

test("a full queue says when to ask again", async () => {
  const { queue, start, finish, clock } = setup({ maxWaiting: 2 });
  const waiting = [start("a", "a1"), start("a", "a2"), start("a", "a3")];
  await clock.advance(4000);
  await expect(start("a", "a4")).rejects.toMatchObject({
    code: "overloaded",
    retryAfterSeconds: expect.toSatisfy((seconds: number) => seconds >= 1 && seconds <= 60),
    message: expect.stringContaining("https://upstream.example"),
  });
  expect(queue.waiting).toBe(2);
  for (const name of ["a1", "a2", "a3"]) await finish(name);
  await Promise.all(waiting);
});

test("a client that filled the queue makes room for one that has less waiting", async () => {
  const { queue, start, started, finish } = setup({ maxWaiting: 3 });
  const first = [start("greedy", "g1"), start("greedy", "g2"), start("greedy", "g3")];
  const newest = failureOf(start("greedy", "g4"));
  const modest = start("modest", "m1");
  expect(await newest).toMatchObject({ code: "overloaded" });
  expect(queue.waiting).toBe(3);
  // Two against one: taking another place away would only turn them round.
  await expect(start("modest", "m2")).rejects.toMatchObject({ code: "overloaded" });
  for (const name of ["g1", "g2", "m1", "g3"]) await finish(name);
  await Promise.all([...first, modest]);
  expect(started).toEqual(["g1", "g2", "m1", "g3"]);
});

test("nobody waits longer than the limit", async () => {
  const { clock, queue, start, finish } = setup({ maxWaitMs: 5000 });
  const first = start("a", "a1");
  const late = failureOf(start("a", "a2"));
  await clock.advance(4999);
  expect(queue.waiting).toBe(1);
  await clock.advance(1);
  expect(await late).toMatchObject({ code: "overloaded", message: expect.stringContaining("5 s") });
  expect(queue.waiting).toBe(0);
  await finish("a1");
  await first;
});

test("every change of running and waiting is reported", async () => {
  const seen: [number, number][] = [];
  const { queue, start, finish } = setup({ onChange: () => seen.push([queue.running, queue.waiting]) });
  const all = [start("a", "a1"), start("b", "b1")];
  await finish("a1");
  await finish("b1");
  await Promise.all(all);
  expect(seen).toContainEqual([1, 1]);
  expect(seen.at(-1)).toEqual([0, 0]);
});

/** Listened to from the beginning, so that it may fail before it is looked at. */
function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => "did not fail",
    (error: unknown) => error,
  );
}

test("a limit that falls lets nobody in until enough have left, and one that grows lets in more than one", async () => {
  let concurrency = 3;
  const queue = createFairQueue({
    clock: createManualClock(),
    name: "upstream",
    concurrency: () => concurrency,
    maxWaiting: 10,
    maxWaitMs: 60_000,
  });
  const { signal } = new AbortController();
  const tasks = Array.from({ length: 8 }, () => Promise.withResolvers<void>());
  const ended = tasks.map(({ promise }) => queue.run("client", signal, () => promise));
  const finish = async (index: number): Promise<number> => {
    tasks[index]?.resolve();
    await ended[index];
    return queue.running;
  };
  expect(queue.running).toBe(3);
  concurrency = 1;
  expect([await finish(0), await finish(1), await finish(2)]).toEqual([2, 1, 1]);
  concurrency = 4;
  expect([await finish(3), queue.waiting]).toEqual([4, 0]);
  for (const { resolve } of tasks) resolve();
  await Promise.all(ended);
});
