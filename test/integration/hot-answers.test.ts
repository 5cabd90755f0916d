import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { HotAnswers } from "../../src/server/hot-answers.ts";
import { createRequestIds } from "../../src/server/request-id.ts";
import { serveHttp } from "../support/loopback.ts";
import { ask } from "../support/raw-http.ts";

const key = "example.com/leaf/@v/v1.0.0.zip";

/** What is answered from memory, else a 404. */
async function serve() {
  const nextRequestId = createRequestIds();
  const options = { clock: systemClock, nextRequestId, keepAliveTimeoutMs: 5000, touch: () => undefined };
  const hot = new HotAnswers({ maxBytes: 1 << 20, ...options });
  const { port } = await serveHttp((request, response) => {
    if (!hot.tryAnswer(request, response)) response.writeHead(404).end();
  });
  const add = (askedAt: number): void =>
    hot.add(`/${key}`, {
      key,
      askedAt,
      headers: ["Content-Length", "3"],
      bytes: Buffer.from("zip"),
      freshUntil: Number.POSITIVE_INFINITY,
      recordGet: () => undefined,
      recordHead: () => undefined,
    });
  const status = async (): Promise<number | undefined> => (await ask(`http://127.0.0.1:${port}`, `/${key}`)).status;
  return { hot, add, status };
}

test("a forgotten file is not remembered for who asked before, and is for who asks afterwards", async () => {
  const { hot, add, status } = await serve();
  const before = performance.now();
  add(before);
  expect(await status()).toBe(200);
  hot.forget(key);
  expect(await status()).toBe(404);
  add(before);
  expect(await status()).toBe(404);
  add(performance.now());
  expect(await status()).toBe(200);
});
