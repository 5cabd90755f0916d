import { setImmediate as settled } from "node:timers/promises";
import { expect, test } from "vitest";
import { failureOf, requestOf } from "../../test/support/source-harness.ts";
import { isSluiceError, SluiceError } from "../core/errors.ts";
import type { FetchContext, Source, SourceCondition, SourceResponse } from "../core/ports.ts";
import type { ModuleRequest } from "../protocol/goproxy/index.ts";
import { type EqualHedge, fetchFromEquals } from "./equals.ts";
import { Outrun } from "./outrun.ts";

const request = requestOf("example.com/m/@v/v1.0.0.zip");

/** Does what the test says: its fetches are those of `calls`, in order. */
class Puppet implements Source {
  readonly name: string;
  readonly calls: Call[] = [];
  state: SourceCondition["state"] = "ok";

  constructor(name: string) {
    this.name = name;
  }

  fetch<T>(
    _request: ModuleRequest,
    receive: (response: SourceResponse) => Promise<T>,
    context: FetchContext,
  ): Promise<T> {
    const done = Promise.withResolvers<T>();
    context.signal.addEventListener("abort", () => done.reject(new SluiceError("cancelled", `${this.name}: ended`)));
    this.calls.push({
      context,
      answer: () => receive({ source: this.name, body: noBytes() }).then(done.resolve, done.reject),
      tryAnswer: () => receive({ source: this.name, body: noBytes() }),
      fail: async (code) => {
        done.reject(new SluiceError(code, `${this.name}: ${code}`));
        await settled();
      },
    });
    return done.promise;
  }

  condition(): SourceCondition {
    return { state: this.state, firstByteMs: undefined };
  }

  async close(): Promise<void> {}
}

interface Call {
  readonly context: FetchContext;
  /** Sends a response, and ends with what becomes of it. */
  readonly answer: () => Promise<void>;
  /** Sends a response, and goes on whatever becomes of it. */
  readonly tryAnswer: () => Promise<unknown>;
  readonly fail: (code: "not_found" | "upstream_failed" | "storage_failed") => Promise<void>;
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

function startScene(receive: (source: string) => Promise<string> = async (source) => source) {
  const [a, b, c] = [new Puppet("a"), new Puppet("b"), new Puppet("c")];
  const hedges: EqualHedge[] = [];
  const missing = new Map<Source, SluiceError>();
  const gone = new AbortController();
  const result = fetchFromEquals(a, {
    request,
    receive: ({ source }) => receive(source),
    context: { signal: gone.signal, client: "test" },
    equals: [b, c],
    missing,
    isAnswer: (error) => isSluiceError(error, "not_found", "upstream_failed"),
    onHedge: (hedge) => hedges.push(hedge),
  });
  result.catch(() => undefined);
  return { a, b, c, hedges, missing, gone, result };
}

/** The newest call. */
function last({ calls, name }: Puppet): Call {
  const call = calls.at(-1);
  if (call === undefined) throw new Error(`${name} was not asked`);
  return call;
}

/** It finds that its answer is late. */
function isLate(source: Puppet): boolean {
  const ask = last(source).context.elsewhere?.();
  ask?.();
  return ask !== undefined;
}

function reasonOf(source: Puppet): unknown {
  return last(source).context.signal.reason;
}

test("one that is in time is the only one that is asked", async () => {
  const { a, b, hedges, result } = startScene();
  await last(a).answer();
  expect([await result, b.calls.length, hedges]).toEqual(["a", 0, []]);
});

test("the quicker one counts, and the late one is ended, as one that was late", async () => {
  const { a, b, hedges, result } = startScene();
  expect(isLate(a)).toBe(true);
  await last(b).answer();
  expect([await result, hedges]).toEqual(["b", [{ source: "a", to: "b", outcome: "won" }]]);
  expect(reasonOf(a)).toEqual(new Outrun({ wasLate: true }));
  expect(a.calls).toHaveLength(1);
});

test("when the late one answers after all the other is ended, and nothing is said of that", async () => {
  const { a, b, hedges, result } = startScene();
  isLate(a);
  await last(a).answer();
  expect([await result, hedges]).toEqual(["a", [{ source: "a", to: "b", outcome: "lost" }]]);
  expect(reasonOf(b)).toEqual(new Outrun({ wasLate: false }));
});

test("who is asked besides is in a hurry", () => {
  const { a, b } = startScene();
  isLate(a);
  expect(last(b).context).toMatchObject({ failFast: true, mayMoveOn: true, client: "test" });
});

test.each(["degraded", "down"] as const)("who is %s is not asked", async (state) => {
  const { a, b, c, result } = startScene();
  b.state = state;
  isLate(a);
  expect([b.calls.length, c.calls.length]).toEqual([0, 1]);
  c.state = state;
  await last(c).answer();
  expect(await result).toBe("c");
});

test("where nobody is well, there is nobody to ask", () => {
  const { a, b, c } = startScene();
  b.state = "degraded";
  c.state = "down";
  expect(isLate(a)).toBe(false);
});

test("a second one that is late, too, is followed by a third, and then there is nobody", async () => {
  const { a, b, c, hedges, result } = startScene();
  isLate(a);
  isLate(b);
  expect(isLate(c)).toBe(false);
  await last(c).answer();
  expect(await result).toBe("c");
  await settled();
  expect(hedges).toEqual([
    { source: "a", to: "b", outcome: "lost" },
    { source: "b", to: "c", outcome: "won" },
  ]);
});

test("not_found of one waits for the other, whose answer counts", async () => {
  const { a, b, result, hedges, missing } = startScene();
  isLate(a);
  await last(b).fail("not_found");
  await last(a).answer();
  expect([await result, hedges.map(({ outcome }) => outcome), [...missing.keys()]]).toEqual(["a", ["failed"], [b]]);
});

test("not_found of one and a failure of the other is a failure, and the first one's word is kept", async () => {
  const { a, b, result, missing } = startScene();
  isLate(a);
  await last(b).fail("not_found");
  await last(a).fail("upstream_failed");
  expect([(await failureOf(result)).message, missing.get(b)?.code]).toEqual(["a: upstream_failed", "not_found"]);
});

test("a late one that says not_found waits for the other, too", async () => {
  const { a, b, result } = startScene();
  isLate(a);
  await last(a).fail("not_found");
  await last(b).answer();
  expect(await result).toBe("b");
});

test("the failure of one in a hurry is not its last word", async () => {
  const { a, b, result, missing } = startScene();
  isLate(a);
  await last(b).fail("upstream_failed");
  await last(a).fail("not_found");
  expect([(await failureOf(result)).code, missing.size]).toEqual(["not_found", 0]);
});

test("when the answer of the quicker one turns out bad, the late one is asked again, and the other not", async () => {
  const received: string[] = [];
  const { a, b, result } = startScene(async (source) => {
    received.push(source);
    if (source === "b") throw new SluiceError("upstream_failed", "cut");
    return source;
  });
  isLate(a);
  await last(b).answer();
  await expect.poll(() => a.calls.length).toBe(2);
  expect(isLate(a)).toBe(true);
  expect(b.calls).toHaveLength(1);
  await last(a).answer();
  expect([await result, received]).toEqual(["a", ["b", "a"]]);
});

test("bodies are received one at a time: who was ended has none", async () => {
  const body = Promise.withResolvers<string>();
  const received: string[] = [];
  const { a, b, result } = startScene((source) => {
    received.push(source);
    return body.promise;
  });
  isLate(a);
  const quicker = last(b).answer();
  await expect(last(a).tryAnswer()).rejects.toThrow("given up");
  body.resolve("whole");
  await quicker;
  expect([await result, received]).toEqual(["whole", ["b"]]);
});

test("a failure that is no source's ends it all", async () => {
  const { a, b, result } = startScene();
  isLate(a);
  await last(b).fail("storage_failed");
  expect((await failureOf(result)).code).toBe("storage_failed");
  await expect.poll(() => last(a).context.signal.aborted).toBe(true);
  expect(a.calls).toHaveLength(1);
});

test("who goes away ends both", async () => {
  const { a, b, gone, result } = startScene();
  isLate(a);
  gone.abort();
  expect((await failureOf(result)).code).toBe("cancelled");
  expect([a, b].map((source) => last(source).context.signal.aborted)).toEqual([true, true]);
  expect([a, b].map(({ calls }) => calls.length)).toEqual([1, 1]);
});
