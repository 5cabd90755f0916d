import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { parseRequest } from "../protocol/goproxy/index.ts";
import { isGivenUp, Load, type LoadSignals, pressureOf, withLoad, workClasses } from "./load.ts";
import type { Source } from "./ports.ts";

const limits = { maxFetching: 100, maxEventLoopDelayMs: 1000, maxMemoryBytes: 1000 };
const calm: LoadSignals = { fetching: 0, eventLoopDelayMs: 0, memoryBytes: 0 };

describe("what is given up", () => {
  it.each([
    [{ fetching: 79 }, []],
    [{ fetching: 80 }, ["background"]],
    [{ eventLoopDelayMs: 850 }, ["background", "cold_git"]],
    [{ memoryBytes: 900 }, ["background", "cold_git", "cold_file"]],
    [{ memoryBytes: 900, fetching: 95 }, ["background", "cold_git", "cold_file", "revalidation"]],
    [{ fetching: 109 }, ["background", "cold_git", "cold_file", "revalidation"]],
    [{ eventLoopDelayMs: 1100 }, [...workClasses]],
  ] satisfies [Partial<LoadSignals>, string[]][])("at %j is %j", (signals, given) => {
    const pressure = pressureOf({ ...calm, ...signals }, limits);
    expect(workClasses.filter((work) => isGivenUp(work, pressure))).toStrictEqual(given);
  });

  it("is never anything of which something less dear is still done", () => {
    const amount = fc.integer({ min: 0, max: 5000 });
    fc.assert(
      fc.property(amount, amount, amount, (fetching, eventLoopDelayMs, memoryBytes) => {
        const pressure = pressureOf({ fetching, eventLoopDelayMs, memoryBytes }, limits);
        const given = workClasses.filter((work) => isGivenUp(work, pressure));
        expect(given).toStrictEqual(workClasses.slice(0, given.length));
      }),
    );
  });

  it("is nothing for memory where there is no limit of it", () => {
    const pressure = pressureOf({ ...calm, memoryBytes: 1e12 }, { ...limits, maxMemoryBytes: 0 });
    expect(pressure.share).toBe(0);
  });
});

describe("a node", () => {
  function node(fetching: () => number, measured = calm) {
    const clock = createManualClock();
    const events = recordEvents();
    let measurements = 0;
    const measure = () => {
      measurements += 1;
      return measured;
    };
    return {
      load: new Load({ limits, clock, events, fetching, measure }),
      clock,
      events,
      measurements: () => measurements,
    };
  }

  it("refuses in words, and tells the log now and then, and the numbers always", async () => {
    const { load, clock, events } = node(() => 92);
    expect(() => load.admit("revalidation")).not.toThrow();
    const refusal = expect.objectContaining({
      code: "overloaded",
      retryAfterSeconds: 5,
      message:
        "this Sluice has too much to do (92 of 100 fetches are under way), so what is not stored must wait; ask again in 5 s",
    });
    for (const _again of [1, 2]) expect(() => load.admit("cold_file")).toThrow(refusal);
    await clock.advance(10_000);
    expect(() => load.admit("background")).toThrow("too much");
    expect(events.of("work_shed").map(({ work, isNews }) => [work, isNews])).toStrictEqual([
      ["cold_file", true],
      ["cold_file", false],
      ["background", true],
    ]);
    expect(load.health()).toMatchObject([
      {
        state: "degraded",
        isNeeded: false,
        detail: "92 of 100 fetches are under way; given up: background, cold_git, cold_file",
      },
    ]);
  });

  it("measures a few times a second, and counts what is under way each time", async () => {
    let fetching = 0;
    const { load, clock, measurements } = node(() => fetching);
    for (let i = 0; i < 100; i++) load.admit("background");
    expect(measurements()).toBe(1);
    fetching = 100;
    expect(() => load.admit("background")).toThrow("too much");
    await clock.advance(250);
    fetching = 0;
    load.admit("background");
    expect(measurements()).toBe(2);
    expect(load.health()).toMatchObject([{ state: "ok" }]);
  });

  it("asks a source only while there is room for it", async () => {
    let fetching = 85;
    const { load } = node(() => fetching);
    let asked = 0;
    const source: Source = {
      name: "test",
      fetch: () => {
        asked += 1;
        return Promise.reject(new Error("asked"));
      },
      close: async () => undefined,
    };
    const context = { signal: new AbortController().signal, client: "test" };
    const list = parseRequest("/example.com/m/@v/list");
    const ask = (): Promise<unknown> =>
      withLoad(source, load, "cold_git").fetch(list, () => Promise.resolve(), context);
    await expect(ask()).rejects.toMatchObject({ code: "overloaded" });
    expect(asked).toBe(0);
    fetching = 84;
    await expect(ask()).rejects.toThrow("asked");
  });
});
