import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type Node, openNode } from "../../src/compose-node.ts";
import { composeService } from "../../src/compose-service.ts";
import type { Config } from "../../src/config/index.ts";
import { RedisLink } from "../../src/fleet/redis/link.ts";
import { LoadMeter } from "../../src/ops/load-signals.ts";
import { load } from "../support/config.ts";
import { closedPort } from "../support/loopback.ts";

let config: Config;
let node: Node;

beforeEach(async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-service-"));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  const redis = `redis://127.0.0.1:${await closedPort()}`;
  ({ config } = load({
    env: { SLUICE_DATA_DIR: dataDir, SLUICE_LOG_LEVEL: "silent", SLUICE_REDIS_URL: redis, GOPROXY: "direct" },
  }));
  node = await openNode(config, {
    fetching: () => 0,
    reload: () => Promise.reject(new Error("not here")),
    health: () => [],
    engine: undefined,
  });
});
afterEach(() => node.close());

function closesOf(prototype: Pick<LoadMeter | RedisLink, "close">): () => number {
  const close = vi.spyOn(prototype, "close");
  onTestFinished(() => close.mockRestore());
  return () => close.mock.calls.length;
}

test("a configuration that cannot be used leaves nothing open: its sources", async () => {
  const [meters, links] = [closesOf(LoadMeter.prototype), closesOf(RedisLink.prototype)];
  vi.spyOn(node.git, "open").mockImplementation(() => {
    throw new Error("no mirrors");
  });
  await expect(composeService(config, node)).rejects.toThrow("no mirrors");
  expect([meters(), links()]).toStrictEqual([1, 1]);
});

test("a configuration that cannot be used leaves nothing open: its fleet", async () => {
  const meters = closesOf(LoadMeter.prototype);
  if (config.redis === undefined) throw new Error("there is no Redis");
  const redis = { ...config.redis, ca: { pem: "no certificate", file: "ca.pem" } };
  await expect(composeService({ ...config, redis }, node)).rejects.toThrow("ca.pem");
  expect(meters()).toBe(1);
});

test("a service that is closed leaves nothing open", async () => {
  const [meters, links] = [closesOf(LoadMeter.prototype), closesOf(RedisLink.prototype)];
  const service = await composeService(config, node);
  expect([meters(), links()]).toStrictEqual([0, 0]);
  await service.close();
  expect([meters(), links()]).toStrictEqual([1, 1]);
});
