import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { serveHttp } from "../../test/support/loopback.ts";
import { ask, type RawAnswer } from "../../test/support/raw-http.ts";
import { systemClock } from "../core/clock.ts";
import { answerError } from "../server/error-answer.ts";
import { EngineLink } from "./engine-link.ts";

const whole = Buffer.from("0123456789".repeat(20_000));

let socketPath: string;
beforeEach(() => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-link-"));
  socketPath = join(folder, "engine.sock");
  return () => rmSync(folder, { recursive: true });
});

async function startEngine(listener: RequestListener): Promise<Server> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => void server.listen(socketPath, resolve));
  onTestFinished(() => end(server));
  return server;
}

function end(server: Server): void {
  server.closeAllConnections();
  server.close();
}

/** As a front: what cannot be passed on is answered by the table of errors. */
async function startFront(patienceMs = 10_000): Promise<string> {
  const link = new EngineLink({ socketPath, clock: systemClock });
  const front = await serveHttp((request, response) => {
    link
      .pass(request, response, { id: "the-id", client: "192.0.2.1", patienceMs, captureBytes: 0 })
      .catch((error: unknown) => {
        const { status, body } = answerError(error, "the-id");
        if (response.headersSent) response.destroy();
        else response.writeHead(status).end(body);
      });
  });
  onTestFinished(() => link.close());
  return front.url().href;
}

/** Answers a part, and ends when the client has it. */
function dying(server: () => Server | undefined, first: Uint8Array): RequestListener {
  return (_request, response) => {
    response.writeHead(200, { "content-length": whole.length });
    response.write(first, () => {
      const engine = server();
      if (engine !== undefined) end(engine);
    });
  };
}

async function askThroughLoss(first: Uint8Array, next: RequestListener): Promise<RawAnswer> {
  let engine: Server | undefined;
  const url = await startFront();
  engine = await startEngine(dying(() => engine, first));
  const closed = new Promise((resolve) => engine?.once("close", resolve));
  const answer = ask(url, "/x");
  await closed;
  await startEngine(next);
  return answer;
}

test("what an engine did not get to is asked of the next", async () => {
  const answer = await askThroughLoss(whole.subarray(0, 70_000), (_request, response) => {
    response.writeHead(200, { "content-length": whole.length }).end(whole);
  });
  expect([answer.status, answer.broken, answer.body.equals(whole)]).toStrictEqual([200, false, true]);
});

test.each([
  ["other bytes than the client has", 200, Buffer.concat([Buffer.from("9"), whole.subarray(1)])],
  ["another length", 200, whole.subarray(0, 100_000)],
  ["another status", 404, whole],
])("a body is never mixed with %s", async (_what, status, next) => {
  const answer = await askThroughLoss(whole.subarray(0, 70_000), (_request, response) => {
    response.writeHead(status, { "content-length": next.length }).end(next);
  });
  expect(answer.broken).toBe(true);
  expect(answer.body.equals(whole.subarray(0, answer.body.length))).toBe(true);
});

test("an engine that does not come back is an outage, never a 404", async () => {
  const url = await startFront(0);
  const answer = await ask(url, "/x");
  expect(answer.status).toBe(503);
  expect(answer.body.toString()).toContain("(restarting, request the-id)");
});

test("what changes something waits for an engine, and is asked once", async () => {
  const url = await startFront();
  const early = ask(url, "/-/purge", { method: "POST" });
  let asked = 0;
  const engine = await startEngine((request, response) => {
    asked += 1;
    if (asked === 1) response.end("done");
    else request.socket.destroy();
  });
  expect((await early).body.toString()).toBe("done");
  const lost = await ask(url, "/-/purge", { method: "POST" });
  expect([lost.status, asked, lost.body.toString()]).toStrictEqual([503, 2, expect.stringContaining("look before")]);
  end(engine);
});

test("the engine learns who asks and by what id, and the client's own word for it does not count", async () => {
  const url = await startFront();
  await startEngine(({ headers }, response) => {
    response.writeHead(200, { "x-sluice-fresh-ms": "1", "x-sluice-source": "s", "x-other": "kept" });
    response.end(JSON.stringify([headers["x-request-id"], headers["x-sluice-client"], headers["x-mine"]]));
  });
  const { headers, body } = await ask(url, "/x", { headers: { "x-sluice-client": "10.0.0.1", "x-mine": "yes" } });
  expect(JSON.parse(body.toString())).toStrictEqual(["the-id", "192.0.2.1", "yes"]);
  expect(headers).toMatchObject({ "x-other": "kept" });
  expect(headers).not.toHaveProperty("x-sluice-fresh-ms");
  expect(headers).not.toHaveProperty("x-sluice-source");
});
