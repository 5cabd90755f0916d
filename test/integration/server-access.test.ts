import { describe, expect, onTestFinished, test } from "vitest";
import { generateKey } from "../../src/protocol/sumdb/index.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask, type RawAnswer } from "../support/raw-http.ts";
import { startSluiceProcess } from "../support/sluice.ts";

interface Scene {
  readonly upstream: FixtureUpstream;
  /** As the client at `from`, with a front end between. */
  readonly get: (path: string, from?: string) => Promise<RawAnswer>;
}

async function scene(env: Readonly<Record<string, string>>): Promise<Scene> {
  const upstream = await startFixtureUpstream();
  onTestFinished(() => upstream.close());
  const sluice = await startSluiceProcess({
    upstream: upstream.url,
    env: { SLUICE_SERVER_TRUSTED_PROXIES: "127.0.0.1", ...env },
  });
  onTestFinished(async () => void (await sluice.stop()));
  return {
    upstream,
    get: (path, from) => ask(sluice.url, path, from === undefined ? {} : { headers: { "x-forwarded-for": from } }),
  };
}

const file = "/example.com/leaf/@v/v1.0.0.mod";

describe("networks", () => {
  test("that are denied get a 403 that says why, also for what is in memory, and health all the same", async () => {
    const { get } = await scene({
      SLUICE_ACCESS_ALLOW_NETWORKS: "10.0.0.0/8,127.0.0.0/8",
      SLUICE_ACCESS_DENY_NETWORKS: "10.9.0.0/16",
      SLUICE_ACCESS_CONTACT: "go-team@corp.example",
    });
    expect((await get(file, "10.1.2.3")).status).toBe(200);
    expect((await get(file)).headers["x-sluice-cache"]).toBe("hit");
    for (const [from, rule] of [
      ["10.9.0.1", "deny_networks"],
      ["192.0.2.1", "allow_networks"],
    ] as const) {
      const { status, body, headers } = await get(file, from);
      expect(status).toBe(403);
      expect(headers["cache-control"]).toBe("no-store");
      expect(body.toString()).toContain(`the client ${from} is not allowed here`);
      expect(body.toString()).toContain(`(${rule} of [access]). Ask go-team@corp.example.\n(denied, request `);
      expect((await get("/-/status", from)).status).toBe(403);
      for (const path of ["/healthz", "/readyz?verbose", "/metrics"]) expect((await get(path, from)).status).toBe(200);
    }
  });

  test("are those of the connection where no front end is trusted", async () => {
    const { get } = await scene({ SLUICE_SERVER_TRUSTED_PROXIES: "", SLUICE_ACCESS_DENY_NETWORKS: "127.0.0.1" });
    expect((await get(file)).status).toBe(403);
    expect((await get(file, "10.0.0.1")).status).toBe(403);
    expect((await get("/healthz")).status).toBe(200);
  });
});

describe("modules", () => {
  test("that are denied are not served, asked for, or taken from memory", async () => {
    const { get, upstream } = await scene({
      SLUICE_ACCESS_ALLOW_MODULES: "example.com",
      SLUICE_ACCESS_DENY_MODULES: "example.com/pseudo,example.com/vers*",
    });
    expect((await get(file)).status).toBe(200);
    upstream.requests.length = 0;
    for (const [path, reason] of [
      ["/example.com/pseudo/@v/list", "modules of example.com/pseudo are denied (deny_modules of [access])"],
      ["/example.com/versioned/@latest", "modules of example.com/vers* are denied (deny_modules of [access])"],
      ["/other.example/m/@v/list", "it is none of the modules allowed (allow_modules of [access])"],
    ] as const) {
      for (const _again of [1, 2]) {
        const { status, body } = await get(path);
        expect(status).toBe(403);
        expect(body.toString()).toContain(reason);
      }
    }
    expect(upstream.requests).toHaveLength(0);
  });
});

test("a module that is denied is looked up in no checksum database, with one process and with several", async () => {
  const [own, other] = [generateKey("own.example"), generateKey("other.example")];
  for (const workers of ["1", "2"]) {
    const { get, upstream } = await scene({
      SLUICE_ACCESS_DENY_MODULES: "example.com/pseudo",
      SLUICE_SUMDB_KEY: own.signerKey,
      SLUICE_SUMDB_VOUCH_PUBLIC: "true",
      SLUICE_SUMDB_DATABASE: `${other.verifierKey} http://127.0.0.1:9`,
      SLUICE_WORKERS: workers,
    });
    for (const name of ["own.example", "other.example"]) {
      const { status, body } = await get(`/sumdb/${name}/lookup/example.com/pseudo@v1.0.0`);
      expect([status, body.toString()]).toStrictEqual([
        403,
        expect.stringContaining("modules of example.com/pseudo are denied (deny_modules of [access])"),
      ]);
    }
    expect(upstream.requests).toStrictEqual([]);
  }
});

describe("a client that asks too much", () => {
  // So slow that nothing comes in while the test runs.
  const limits = { SLUICE_LIMITS_REQUESTS_PER_SECOND: "1", SLUICE_LIMITS_BURST: "50" };

  test("gets 429 until there is something in its bucket again, and the others do not notice", async () => {
    const { get } = await scene({ ...limits, SLUICE_LIMITS_BYPASS: "10.0.0.0/8" });
    const askMany = async (times: number, from?: string): Promise<RawAnswer[]> => {
      const answers: RawAnswer[] = [];
      for (let i = 0; i < times; i++) answers.push(await get(file, from));
      return answers;
    };
    const answers = await askMany(150, "192.0.2.1");
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.filter(({ status }) => status === 200).length + refused.length).toBe(150);
    expect(refused.length).toBeGreaterThan(0);
    const [first] = refused;
    expect(first?.headers["retry-after"]).toBe("1");
    expect(first?.body.toString()).toMatch(
      /^192\.0\.2\.1 asks for more than 1 files a second, which is the limit here; ask again in 1 s\n\(rate_limited, /,
    );
    expect((await get("/healthz", "192.0.2.1")).status).toBe(200);
    for (const from of ["192.0.2.2", "10.0.0.1"]) expect((await get(file, from)).status).toBe(200);
    expect((await askMany(150, "10.0.0.1")).every(({ status }) => status === 200)).toBe(true);
  });
});
