import { describe, expect, it } from "vitest";
import { load } from "../../test/support/config.ts";
import { printConfig } from "./print.ts";

const redis = '[redis]\nurl = "rediss://redis.example/2"\n';
const pem = "-----BEGIN CERTIFICATE-----\nAA==\n";

describe("[redis]", () => {
  it("is off without a URL, whatever else is there", () => {
    expect(load({ file: '[redis]\nprefix = "go"\n' }).config.redis).toBeUndefined();
  });

  it("has its secrets from files and variables, and prints none", () => {
    const file = `${redis}username = "sluice"\npassword_file = "/run/password"\nca_file = "/etc/ca.pem"\n`;
    const loaded = load({ file, files: { "/run/password": "hunter2\n", "/etc/ca.pem": pem } });
    expect(loaded.config.redis).toMatchObject({
      url: "rediss://redis.example/2",
      username: "sluice",
      prefix: "sluice",
      leaseWaitMs: 15_000,
      ca: { pem, file: "/etc/ca.pem" },
    });
    expect(loaded.config.redis?.password?.reveal()).toBe("hunter2");
    const byEnv = load({
      env: { SLUICE_REDIS_URL: "redis://[::1]:1", SLUICE_REDIS_PASSWORD_ENV: "PW", PW: "hunter2" },
    });
    expect(byEnv.config.redis?.password?.reveal()).toBe("hunter2");
    for (const one of [loaded, byEnv]) {
      expect(printConfig(one)).not.toContain("hunter2");
      expect(JSON.stringify(one.config)).not.toContain("hunter2");
    }
  });

  const wrongUrl = "is no address of a Redis; write redis://host:6379, or rediss://host:6379 with TLS";
  const secretInUrl = "has a user name or password in it; write username and password_file instead";
  const tail = "has more behind its host than the number of a database; write it as redis://host:6379/1";

  it.each([
    [{ SLUICE_REDIS_URL: "redis.example:6379" }, `SLUICE_REDIS_URL="redis.example:6379" ${wrongUrl}`],
    [{ SLUICE_REDIS_URL: "http://redis.example" }, `SLUICE_REDIS_URL="http://redis.example" ${wrongUrl}`],
    [{ SLUICE_REDIS_URL: "redis://:hunter2@redis.example" }, `SLUICE_REDIS_URL ${secretInUrl}`],
    [{ SLUICE_REDIS_URL: "sluice:hunter2@redis.example" }, `SLUICE_REDIS_URL ${secretInUrl}`],
    [{ SLUICE_REDIS_URL: "redis://redis.example/a" }, `SLUICE_REDIS_URL="redis://redis.example/a" ${tail}`],
    [{ SLUICE_REDIS_URL: "redis://redis.example/?db=1" }, `SLUICE_REDIS_URL="redis://redis.example/?db=1" ${tail}`],
    [
      { SLUICE_REDIS_PREFIX: "a b" },
      'SLUICE_REDIS_PREFIX="a b" is no prefix; write up to 64 letters, digits and . _ : -',
    ],
    [{ SLUICE_REDIS_PASSWORD_FILE: "/gone" }, 'SLUICE_REDIS_PASSWORD_FILE="/gone" does not exist; check the path'],
    [{ SLUICE_REDIS_PASSWORD_FILE: "/empty" }, 'SLUICE_REDIS_PASSWORD_FILE="/empty" is empty'],
    [{ SLUICE_REDIS_PASSWORD_ENV: "GONE" }, "SLUICE_REDIS_PASSWORD_ENV names an environment variable that is not set"],
    [
      { SLUICE_REDIS_PASSWORD_ENV: "PW", SLUICE_REDIS_PASSWORD_FILE: "/full", PW: "hunter2" },
      "SLUICE_REDIS_PASSWORD_ENV stands beside password_file; keep one of them",
    ],
    [{ SLUICE_REDIS_CA_FILE: "/full" }, 'SLUICE_REDIS_CA_FILE="/full" holds no certificate in PEM form'],
  ])("refuses %j in a sentence", (env: Readonly<Record<string, string>>, sentence) => {
    const input = { env, files: { "/empty": "\n", "/full": "hunter2" } };
    expect(() => load(input)).toThrow(expect.objectContaining({ code: "config_invalid", message: sentence }));
    expect(sentence).not.toContain("hunter2");
  });
});
