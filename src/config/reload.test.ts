import { expect, test } from "vitest";
import { load } from "../../test/support/config.ts";
import { Secret } from "../core/secret.ts";
import { fingerprint, reloaded } from "./reload.ts";

test("what takes a restart keeps its value and is told; the rest is new", () => {
  const started = load({ file: '[server]\nlisten = ":1"\n[freshness]\nttl = "1s"\n[store]\nmemory = "1MiB"\n' }).config;
  const next = load({ file: '[server]\nlisten = ":2"\n[freshness]\nttl = "2s"\n[store]\nmemory = "1024KiB"\n' }).config;
  const { config, needRestart } = reloaded(started, next);
  expect(needRestart).toStrictEqual(["server.listen"]);
  expect(config.server.listen.port).toBe(1);
  expect(config.freshness.ttlMs).toBe(2000);
});

test("a table that is not there before or after comes and goes", () => {
  const [without, withRedis] = [load({}).config, load({ env: { SLUICE_REDIS_URL: "redis://redis.example" } }).config];
  expect(reloaded(without, withRedis).config.redis).toMatchObject({ url: "redis://redis.example" });
  expect(reloaded(withRedis, without).config.redis).toBeUndefined();
});

test("a fingerprint tells secrets apart and shows none", () => {
  const one = fingerprint({ password: new Secret("hunter1"), list: [new Secret("a")] });
  expect(one).toBe(fingerprint({ password: new Secret("hunter1"), list: [new Secret("a")] }));
  expect(one).not.toBe(fingerprint({ password: new Secret("hunter2"), list: [new Secret("a")] }));
  expect(one).not.toBe(fingerprint({ password: new Secret("hunter1"), list: [new Secret("b")] }));
  expect(one).toMatch(/^[\da-f]{64}$/);
});
