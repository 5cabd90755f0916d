import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { ask } from "../../test/support/raw-http.ts";
import type { FleetMessage } from "../core/fleet.ts";
import { createAccess } from "../policy/access.ts";
import { HotAnswers } from "../server/hot-answers.ts";
import { startHttpServer } from "../server/http-server.ts";
import { createRequestIds } from "../server/request-id.ts";
import { EngineLink } from "./engine-link.ts";
import { createFrontHandlers, type FrontHandlers } from "./front-handlers.ts";

const list = "/example.com/m/@v/list";
const key = list.slice(1);

/** A front before an engine that counts its answers in their bodies, and does `meanwhile` before it sends one. */
async function startFront(meanwhile: (front: FrontHandlers) => void = () => undefined) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-front-"));
  const socketPath = join(folder, "engine.sock");
  let answers = 0;
  const engine = createServer((_request, response) => {
    answers += 1;
    meanwhile(front);
    response.writeHead(200, {
      "content-type": "text/plain",
      "cache-control": "public, max-age=60",
      etag: `"${answers}"`,
      "x-sluice-fresh-ms": "60000",
    });
    response.end(String(answers));
  });
  await new Promise<void>((resolve) => void engine.listen(socketPath, resolve));
  const clock = createManualClock();
  const nextRequestId = createRequestIds();
  const front = createFrontHandlers({
    hot: new HotAnswers({ maxBytes: 1e6, clock, nextRequestId, keepAliveTimeoutMs: 5000, touch: () => undefined }),
    store: { read: () => Promise.resolve(undefined), touch: () => undefined, forget: () => undefined },
    engine: new EngineLink({ socketPath, clock }),
    access: createAccess({ allowNetworks: [], denyNetworks: [], allowModules: "", denyModules: "", contact: "" }),
    gate: undefined,
    recorder: { record: () => undefined, prepare: () => () => undefined },
    clock,
    nextRequestId,
    clientAddress: () => "192.0.2.1",
    basePath: "",
    maxUrlBytes: 2000,
    notFoundTtlMs: 1000,
    viaName: "sluice-front",
  });
  const server = await startHttpServer(
    { handlers: front, maxHeaderBytes: 16_384, headerTimeoutMs: 5000, keepAliveTimeoutMs: 5000 },
    { host: "127.0.0.1", port: 0 },
  );
  onTestFinished(async () => {
    await server.stop(0);
    engine.closeAllConnections();
    engine.close();
    rmSync(folder, { recursive: true });
  });
  const read = async (): Promise<string> => (await ask(`http://127.0.0.1:${server.port}`, list)).body.toString();
  return { front, clock, read };
}

test("an answer is given again for as long as the engine says", async () => {
  const { clock, read } = await startFront();
  expect([await read(), await read()]).toStrictEqual(["1", "1"]);
  await clock.advance(60_000);
  expect(await read()).toBe("2");
});

const messages: readonly (readonly [message: FleetMessage, isAboutIt: boolean])[] = [
  [{ type: "purged", selection: { module: "example.com/m" } }, true],
  [{ type: "kept", key }, true],
  [{ type: "rejected", key }, true],
  [{ type: "kept", key: "example.com/other/@v/list" }, false],
  [{ type: "kept", key: "example.com/m/@v/v1.0.0.zip" }, false],
  [{ type: "purged", selection: { module: "example.com/m", onlyMissing: true } }, false],
];

test.each(messages)("what is remembered is forgotten or not: %j, %s", async (message, isAboutIt) => {
  const { front, read } = await startFront();
  await read();
  front.heard(message);
  expect(await read()).toBe(isAboutIt ? "2" : "1");
});

test.each(messages)("what is on its way meanwhile is remembered or not: %j, %s", async (message, isAboutIt) => {
  const { read } = await startFront((front) => front.heard(message));
  await read();
  expect(await read()).toBe(isAboutIt ? "2" : "1");
});
