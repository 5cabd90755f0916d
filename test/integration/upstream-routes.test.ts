import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

let folder: string;
let one: FixtureUpstream;
let two: FixtureUpstream;
let sluice: RunningSluice | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-routes-"));
  [one, two] = await Promise.all([startFixtureUpstream(), startFixtureUpstream()]);
});
afterEach(async () => {
  await sluice?.stop();
  await Promise.all([one.close(), two.close()]);
  await rm(folder, { recursive: true, force: true });
});

async function start(upstream: string): Promise<void> {
  const file = join(folder, "sluice.toml");
  await writeFile(file, `[upstream]\n${upstream}`);
  sluice = await startSluiceProcess({ upstream: "off", args: ["--config", file] });
}

async function get(path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(`${sluice?.url}/${path}`);
  return { status: response.status, text: await response.text() };
}

const leaf = "example.com/leaf/@v/v1.2.0.mod";
const gopkg = "gopkg.in/fixture.v2/@v/v2.3.4.mod";
const nested = "example.com/nested/a/@v/v1.0.0.mod";

describe("routes", () => {
  test("a module comes from the chain of the first route that matches, others from the main chain", async () => {
    await start(`chain = "${one.url}"
[[upstream.route]]
patterns = "gopkg.in/*"
chain = "${two.url}"
[[upstream.route]]
patterns = "example.com/nested,gopkg.in"
chain = "off"
`);
    expect((await get(leaf)).status).toBe(200);
    expect((await get(gopkg)).status).toBe(200);
    expect(await get(nested)).toEqual({ status: 404, text: expect.stringContaining("not stored here") });
    expect([one, two].map(({ requests }) => requests.map(({ path }) => path))).toEqual([[leaf], [gopkg]]);
  });

  test("an error names the upstream of the route, and the main chain is not asked", async () => {
    await start(`chain = "${one.url}"
attempts = 2
[[upstream.route]]
patterns = "gopkg.in"
chain = "${two.url}"
`);
    two.setFault(/./, { kind: "status", status: 503 });
    expect(await get(gopkg)).toEqual({ status: 502, text: expect.stringContaining(two.url) });
    expect(one.requests).toEqual([]);
  });

  test("what is private is asked of no route", async () => {
    await start(`chain = "${one.url}"
private = "gopkg.in/fixture.v2"
[[upstream.route]]
patterns = "gopkg.in"
chain = "${two.url}"
[[git.override]]
pattern = "gopkg.in/fixture.v2"
url = "https://127.0.0.1:1/none.git"
`);
    expect((await get(gopkg)).status).not.toBe(200);
    expect([...one.requests, ...two.requests]).toEqual([]);
  });
});

describe("groups", () => {
  test("a mirror that is down is passed over, and its outage is no 404", async () => {
    await start(`chain = "${one.url}|${two.url}"
[[upstream.group]]
members = ["${one.url}", "${two.url}"]
`);
    await one.close();
    expect((await get(leaf)).status).toBe(200);
    expect((await get(gopkg)).status).toBe(200);
    expect((await get("example.com/none/@v/v1.0.0.mod")).status).toBe(502);
  });

  test("a backup is asked when no member can be, and for nothing that a member does not have", async () => {
    const { port } = one;
    await start(`chain = "${one.url}|${two.url}"
[[upstream.group]]
members = ["${one.url}"]
backups = ["${two.url}"]
`);
    expect((await get(leaf)).status).toBe(200);
    expect((await get("example.com/none/@v/v1.0.0.mod")).status).toBe(404);
    expect(two.requests).toEqual([]);

    await one.close();
    expect((await get(gopkg)).status).toBe(200);
    expect(two.requests.map(({ path }) => path)).toEqual([gopkg]);

    one = await startFixtureUpstream({ port });
    expect((await get(nested)).status).toBe(200);
    expect(two.requests.map(({ path }) => path)).toEqual([gopkg]);
  });

  test("spread: each in its turn", async () => {
    await start(`chain = "${one.url}|${two.url}"
[[upstream.group]]
members = ["${one.url}", "${two.url}"]
balance = "spread"
`);
    for (const path of [leaf, gopkg, nested, "example.com/leaf/@v/v1.1.0.mod"]) await get(path);
    expect([one.requests.length, two.requests.length]).toEqual([2, 2]);
  });
});
