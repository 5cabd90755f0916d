import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixtureVersions } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const list = "/example.com/leaf/@v/list";
const mods = fixtureVersions
  .map(({ path, version }) => `/${path}/@v/${version}.mod`.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`))
  .slice(0, 20);

let upstream: FixtureUpstream;
let sluice: RunningSluice | undefined;

beforeEach(async () => {
  upstream = await startFixtureUpstream();
});
afterEach(async () => {
  await sluice?.stop();
  sluice = undefined;
  await upstream.close();
});

/** The URL of an upstream that is not there any more. */
async function nobody(): Promise<string> {
  const gone = await startFixtureUpstream();
  await gone.close();
  return gone.url;
}

async function get(path: string): Promise<Response> {
  if (sluice === undefined) throw new Error("no Sluice runs");
  return fetch(sluice.url + path);
}

async function statuses(paths: readonly string[]): Promise<number[]> {
  return Promise.all(paths.map(async (path) => (await get(path)).status));
}

/** Resolves when operators are told that an upstream is in this state. */
async function told(state: RegExp): Promise<string> {
  for (;;) {
    const line = (await (await get("/readyz?verbose")).text()).split("\n").find((text) => /upstream http/.test(text));
    if (line !== undefined && state.test(line)) return line;
  }
}

describe("the only upstream", () => {
  test("goes away and comes back: what was asked for meanwhile comes, and operators see it", async () => {
    sluice = await startSluiceProcess({ upstream: upstream.url });
    expect((await get(list)).status).toBe(200);
    const { port } = upstream;
    await upstream.close();
    const asked = statuses(mods);
    expect(await told(/down/)).toMatch(/refused the connection|closed the connection/);
    upstream = await startFixtureUpstream({ port });
    expect(await asked).toEqual(mods.map(() => 200));
    await told(/ ok|degraded/);
    expect(sluice.output()).toMatch(/an upstream is down/);
  });

  test("is down: old answers come at once, for others it is said when to ask again, and never that there is nothing", async () => {
    sluice = await startSluiceProcess({
      upstream: upstream.url,
      env: {
        SLUICE_UPSTREAM_WAIT_WHILE_DOWN: "0s",
        SLUICE_FRESHNESS_TTL: "0s",
        SLUICE_FRESHNESS_STALE_WHILE_REVALIDATE: "0s",
      },
    });
    const versions = await (await get(list)).text();
    await upstream.close();
    const answered = await statuses(mods);
    expect(answered.every((status) => status === 502)).toBe(true);
    await told(/down since/);
    const unknown = await get("/example.com/versioned/@v/v1.0.0.info");
    const text = await unknown.text();
    expect([unknown.status, text]).toEqual([502, expect.stringMatching(/down since .* asked again in \d+ s/)]);
    expect(Number(unknown.headers.get("retry-after"))).toBeGreaterThan(0);
    const old = await get(list);
    expect([old.status, old.headers.get("x-sluice-cache"), await old.text()]).toEqual([200, "stale", versions]);
  });
});

describe("the first of two upstreams is down", () => {
  test("and the next answers behind a |", async () => {
    sluice = await startSluiceProcess({ upstream: `${await nobody()}|${upstream.url}` });
    expect(await statuses(mods)).toEqual(mods.map(() => 200));
  });

  test("which is no reason to ask the next behind a comma", async () => {
    sluice = await startSluiceProcess({
      upstream: `${await nobody()},${upstream.url}`,
      env: { SLUICE_UPSTREAM_WAIT_WHILE_DOWN: "0s" },
    });
    expect(new Set(await statuses(mods))).toEqual(new Set([502]));
    await told(/down since/);
    expect((await get(list)).status).toBe(502);
    expect(upstream.requests).toEqual([]);
  });
});
