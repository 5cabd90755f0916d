import { expect, test } from "vitest";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { failureOf } from "../../test/support/source-harness.ts";
import { elsewhereDelayMs, hedgeDelayMs, type HedgeOutcome, withHedging } from "./hedge.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "./http.ts";
import { createRetryBudget } from "./retry-budget.ts";

const usual = { p50: 50, p95: 200, p99: 400 };
const url = new URL("https://proxy.example/file");

test.each([
  ["nothing is known", undefined, 1000],
  ["a usual server", usual, 400],
  ["a near one", { p50: 1, p95: 2, p99: 3 }, 100],
  ["one that loses answers, by which its latest are late", { p50: 50, p95: 5000, p99: 5000 }, 400],
  ["a slow one", { p50: 3000, p95: 5000, p99: 9000 }, 10_000],
])("how late is late: %s", (_, known, delayMs) => {
  expect(hedgeDelayMs(known)).toBe(delayMs);
});

test.each([
  ["nothing is known", undefined, 1000],
  ["a usual server", usual, 200],
  ["a near one", { p50: 1, p95: 2, p99: 3 }, 100],
  ["one that loses answers, by which its latest are late", { p50: 50, p95: 5000, p99: 5000 }, 400],
  ["a slow one", { p50: 3000, p95: 5000, p99: 9000 }, 5000],
])("how late is late where somebody else can be asked: %s", (_, known, delayMs) => {
  expect(elsewhereDelayMs(known)).toBe(delayMs);
});

test("who else has it is asked instead, once, and costs of the same budget", async () => {
  const scene = startScene(1);
  let asked = 0;
  const response = scene.get({ elsewhere: () => () => (asked += 1) });
  await scene.clock.advance(199);
  expect(asked).toBe(0);
  await scene.clock.advance(60_000);
  expect([asked, scene.server.signals.length]).toEqual([1, 1]);
  scene.server.answer(0, "one");
  expect(await textOf(await response)).toBe("one");
  void scene.get({ elsewhere: () => () => (asked += 1) });
  await scene.clock.advance(60_000);
  expect([asked, scene.outcomes]).toEqual([1, ["capped"]]);
});

test("where there is nobody else, it is asked itself when it would be anyway", async () => {
  const scene = startScene();
  void scene.get({ elsewhere: () => undefined });
  await scene.clock.advance(399);
  expect(scene.server.signals).toHaveLength(1);
  await scene.clock.advance(1);
  expect(scene.server.signals).toHaveLength(2);
  await scene.clock.advance(800);
  expect(scene.server.signals).toHaveLength(3);
});

test("one that is late more often than not is no reason not to ask somebody else", async () => {
  const scene = startScene(1000);
  await scene.lateAnswers(40);
  let asked = 0;
  void scene.get({ elsewhere: () => () => (asked += 1) });
  await scene.clock.advance(200);
  expect(asked).toBe(1);
});

test("an answer in time is the only request", async () => {
  const scene = startScene();
  const response = scene.get();
  scene.server.answer(0, "one");
  expect(await textOf(await response)).toBe("one");
  await scene.clock.advance(60_000);
  expect(scene.server.signals).toHaveLength(1);
});

test("without an answer it is asked once more, the first answer counts, and the other request is ended", async () => {
  const scene = startScene();
  const response = scene.get();
  await scene.clock.advance(399);
  expect(scene.server.signals).toHaveLength(1);
  await scene.clock.advance(1);
  expect(scene.server.signals).toHaveLength(2);
  scene.server.answer(1, "two");
  expect(await textOf(await response)).toBe("two");
  expect(scene.server.signals.map(({ aborted }) => aborted)).toEqual([true, false]);
});

test("an answer that comes when another one counts already is let go of", async () => {
  const scene = startScene();
  const response = scene.get();
  await scene.clock.advance(400);
  scene.server.answer(1, "two");
  scene.server.answer(0, "one");
  expect(await textOf(await response)).toBe("two");
  await scene.clock.advance(0);
  expect(scene.server.discarded).toEqual([0]);
});

test("a third time after twice as long, and not a fourth", async () => {
  const scene = startScene();
  const response = scene.get();
  await scene.clock.advance(400 + 800);
  expect(scene.server.signals).toHaveLength(3);
  await scene.clock.advance(60_000);
  expect(scene.server.signals).toHaveLength(3);
  scene.server.answer(0, "one");
  expect(await textOf(await response)).toBe("one");
});

test("one that fails leaves it to the other; the last failure is the outcome", async () => {
  const scene = startScene();
  const response = scene.get();
  await scene.clock.advance(400);
  scene.server.fail(0, new Error("reset"));
  await scene.clock.advance(0);
  scene.server.fail(1, new Error("refused"));
  await expect(response).rejects.toThrow("refused");
});

test("a failure is no reason to ask twice: that is for who tries again", async () => {
  const scene = startScene();
  const response = scene.get();
  scene.server.fail(0, new Error("reset"));
  await expect(response).rejects.toThrow("reset");
  expect(scene.server.signals).toHaveLength(1);
});

test("without budget nothing is asked twice", async () => {
  const scene = startScene(0);
  const response = scene.get();
  await scene.clock.advance(60_000);
  expect(scene.server.signals).toHaveLength(1);
  scene.server.answer(0, "one");
  expect(await textOf(await response)).toBe("one");
});

test.each([
  ["the second answer counts", 1, "won"],
  ["the first one does after all", 0, "lost"],
])("it is told that %s", async (_, index, outcome) => {
  const scene = startScene();
  const response = scene.get();
  await scene.clock.advance(400);
  scene.server.answer(index, "text");
  await response;
  expect(scene.outcomes).toEqual([outcome]);
});

test("it is told that both failed, and that too much was asked twice", async () => {
  const scene = startScene(1);
  const failure = scene.get().catch((error: unknown) => error);
  await scene.clock.advance(400);
  scene.server.fail(0, new Error("reset"));
  scene.server.fail(1, new Error("refused"));
  await failure;
  void scene.get();
  await scene.clock.advance(400);
  expect(scene.outcomes).toEqual(["failed", "capped"]);
});

test("a server that is slow as a whole is not asked twice, and is again when it is quick", async () => {
  const scene = startScene(1000);
  const late = await scene.lateAnswers(40);
  expect(late.doubled).toBeLessThan(8);
  expect(scene.outcomes.at(-1)).toBe("slow");
  await scene.promptAnswers(20);
  expect((await scene.lateAnswers(1)).doubled).toBe(1);
});

test("requests that are late all at once are doubled a few times only", async () => {
  const scene = startScene(1000);
  await scene.promptAnswers(40);
  const before = scene.server.signals.length;
  for (let index = 0; index < 64; index++) void scene.get();
  await scene.clock.advance(400);
  expect(scene.server.signals.length - before - 64).toBe(16);
});

test("single answers that get lost are asked for once more, three of ten for ever", async () => {
  const scene = startScene(1000);
  for (let round = 0; round < 20; round++) {
    await scene.promptAnswers(7);
    expect((await scene.lateAnswers(3)).doubled).toBe(3);
  }
});

test("bodies that all pause are waited for", async () => {
  const scene = startScene(1000);
  for (let index = 0; index < 8; index++) await scene.pausedBody(index);
  const response = scene.get();
  scene.server.answer(8, "half", "pause");
  const text = textOf(await response);
  await scene.clock.advance(500);
  expect(scene.outcomes).toEqual([...Array.from({ length: 7 }, () => "resumed"), "slow", "slow"]);
  scene.server.goOn();
  expect(await text).toBe("half and half");
});

test("without a share nothing is asked twice, nor told", async () => {
  const scene = startScene("off");
  const response = scene.get();
  await scene.clock.advance(60_000);
  expect(scene.server.signals).toHaveLength(1);
  scene.server.answer(0, "half", "pause");
  const text = textOf(await response);
  await scene.clock.advance(60_000);
  scene.server.goOn();
  expect(await text).toBe("half and half");
  expect(scene.outcomes).toEqual([]);
});

test("a POST is sent once", async () => {
  const scene = startScene();
  void scene.get({ method: "POST" });
  await scene.clock.advance(60_000);
  expect(scene.server.signals).toHaveLength(1);
});

test("who goes away ends all requests", async () => {
  const scene = startScene();
  const leaver = new AbortController();
  const response = scene.get({ signal: leaver.signal });
  await scene.clock.advance(400);
  leaver.abort();
  await expect(response).rejects.toThrow("aborted");
  expect(scene.server.signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test("where somebody else can answer, it is over after some seconds", async () => {
  const scene = startScene();
  const failure = failureOf(scene.get({ mayMoveOn: true }));
  await scene.clock.advance(5000);
  expect((await failure).code).toBe("upstream_timeout");
  expect(scene.server.signals.every(({ aborted }) => aborted)).toBe(true);
});

test.each([
  [1, 500],
  [2, 1000],
  [6, 16_000],
])("a body that pauses is given up in attempt %i after %i ms", async (attempt, limitMs) => {
  const scene = startScene();
  const response = scene.get({ attempt });
  scene.server.answer(0, "half", "pause");
  const failure = failureOf(textOf(await response));
  await scene.clock.advance(limitMs - 1);
  expect(scene.clock.sleeping).toBe(1);
  await scene.clock.advance(1);
  expect((await failure).code).toBe("upstream_timeout");
});

test("a later attempt waits as long as the server's own limits let it", async () => {
  const scene = startScene();
  const response = scene.get({ attempt: 7 });
  scene.server.answer(0, "half", "pause");
  const text = textOf(await response);
  await scene.clock.advance(600_000);
  scene.server.goOn();
  expect(await text).toBe("half and half");
});

interface Scene {
  readonly clock: ManualClock;
  readonly server: Server;
  readonly outcomes: readonly HedgeOutcome[];
  get(request?: Partial<HttpRequest>): Promise<HttpResponse>;
  /** One after the other. */
  promptAnswers(count: number): Promise<void>;
  /** One after the other, each behind the time at which it is late. */
  lateAnswers(count: number): Promise<{ readonly doubled: number }>;
  /** The body of the request with this number pauses for half a second. */
  pausedBody(index: number): Promise<void>;
}

function startScene(capacity: number | "off" = 10): Scene {
  const clock = createManualClock();
  const server = new Server();
  const outcomes: HedgeOutcome[] = [];
  const budget = capacity === "off" ? undefined : createRetryBudget(clock, { capacity, perSecond: 0, perSuccess: 0 });
  const http = withHedging(server, { clock, usual: () => usual, budget, onHedge: (told) => outcomes.push(told) });
  const get = (request?: Partial<HttpRequest>): Promise<HttpResponse> =>
    http.get({ url, signal: new AbortController().signal, maxBytes: 1000, ...request });
  return {
    clock,
    server,
    outcomes,
    get,
    async promptAnswers(count) {
      for (let index = 0; index < count; index++) {
        const response = get();
        server.answer(server.signals.length - 1, "text");
        await textOf(await response);
      }
    },
    async lateAnswers(count) {
      const before = server.signals.length;
      for (let index = 0; index < count; index++) {
        const first = server.signals.length;
        const response = get();
        await clock.advance(400);
        server.answer(first, "late");
        await textOf(await response);
      }
      return { doubled: server.signals.length - before - count };
    },
    async pausedBody(index) {
      const response = get();
      server.answer(index, "half", "pause");
      const text = textOf(await response).catch(() => undefined);
      await clock.advance(500);
      if (outcomes.at(-1) === "resumed") await text;
    },
  };
}

/** Answers when it is told to. */
class Server implements HttpClient {
  readonly signals: AbortSignal[] = [];
  readonly discarded: number[] = [];
  readonly #answers: PromiseWithResolvers<HttpResponse>[] = [];
  readonly #pause = Promise.withResolvers<void>();

  get({ signal }: HttpRequest): Promise<HttpResponse> {
    const answer = Promise.withResolvers<HttpResponse>();
    this.signals.push(signal);
    this.#answers.push(answer);
    signal.addEventListener("abort", () => answer.reject(new Error("aborted")));
    return answer.promise;
  }

  answer(index: number, text: string, then?: "pause"): void {
    const body = then === undefined ? chunks([text]) : this.#pausing(text);
    const discard = (): void => void this.discarded.push(index);
    this.#answers[index]?.resolve({ status: 200, headers: {}, url, size: undefined, body, discard });
  }

  fail(index: number, error: Error): void {
    this.#answers[index]?.reject(error);
  }

  goOn(): void {
    this.#pause.resolve();
  }

  async close(): Promise<void> {}

  async *#pausing(text: string): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text);
    await this.#pause.promise;
    yield Buffer.from(" and half");
  }
}

async function* chunks(texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function textOf({ body }: HttpResponse): Promise<string> {
  let text = "";
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  return text;
}
