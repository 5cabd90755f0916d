import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { fixtureFiles, fixtureVersions } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const numbered = Array.from({ length: 120 }, (_, index) => `example.com/n${index}/@v/v1.0.0.mod`);
const modules = new Map([
  ...fixtureFiles(),
  ...numbered.map((path) => [path, Buffer.from(`module ${path.replace("/@v/v1.0.0.mod", "")}\n`)] as const),
]);

let folder: string;
let one: FixtureUpstream;
let two: FixtureUpstream;
let sluice: RunningSluice | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-equals-"));
  [one, two] = await Promise.all([startFixtureUpstream({ modules }), startFixtureUpstream({ modules })]);
});
afterEach(async () => {
  await sluice?.stop();
  await Promise.all([one.close(), two.close()]);
  await rm(folder, { recursive: true, force: true });
});

async function start(more = ""): Promise<RunningSluice> {
  const file = join(folder, "sluice.toml");
  await writeFile(
    file,
    `[upstream]\nchain = "${one.url}|${two.url}"\n${more}\n[[upstream.group]]\nmembers = ["${one.url}", "${two.url}"]\n`,
  );
  return (sluice = await startSluiceProcess({ upstream: "off", args: ["--config", file] }));
}

async function get(path: string): Promise<{ readonly status: number; readonly body: Buffer }> {
  const response = await fetch(`${sluice?.url}/${path}`);
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
}

/** Of requests for which `one` was late. */
async function hedges(): Promise<Readonly<Record<string, number>>> {
  const text = await (await fetch(`${sluice?.url}/metrics`)).text();
  const pattern = /^sluice_upstream_hedges_total\{upstream="(\S+?)",to="(\S+?)",outcome="(\w+)"\} (\d+)$/gm;
  const found = [...text.matchAll(pattern)].filter(([, upstream]) => upstream === one.url);
  return Object.fromEntries(
    found.map(([, , to, outcome, count]) => [`${to === two.url ? "two" : "one"} ${outcome}`, Number(count)]),
  );
}

const zip = "example.com/leaf/@v/v1.2.0.zip";

describe("a member of a group that does not answer", () => {
  test("is not waited for: the other one answers, and the connection to the first is closed", async () => {
    await start();
    const closed = Promise.withResolvers<void>();
    one.setFault(zip, {
      kind: "handler",
      handle: (request) => void request.socket.once("close", () => closed.resolve()),
    });
    expect(await get(zip)).toEqual({ status: 200, body: modules.get(zip) });
    await closed.promise;
    expect([one, two].map((upstream) => upstream.requestsFor(zip).length)).toEqual([1, 1]);
    expect(await hedges()).toEqual({ "two won": 1 });
  });

  test("counts when it answers after all, and the other one is let go", async () => {
    await start();
    const gate = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    one.setFault(zip, { kind: "delay", until: gate.promise });
    two.setFault(zip, {
      kind: "handler",
      handle: (request) => void request.socket.once("close", () => closed.resolve()),
    });
    const answer = get(zip);
    await two.arrived(zip);
    gate.resolve();
    expect(await answer).toEqual({ status: 200, body: modules.get(zip) });
    await closed.promise;
    expect(await hedges()).toEqual({ "two lost": 1 });
  });

  test("is not spoken for: what only the other one says is not there may be there", async () => {
    await start();
    const none = "example.com/none/@v/v1.0.0.mod";
    one.setFault(none, { kind: "hang" });
    expect((await get(none)).status).toBe(504);
    expect(two.requestsFor(none)).toHaveLength(1);
    expect(await hedges()).toEqual({ "two failed": 1 });
  });

  test("costs no more of the other one than its share", async () => {
    await start("hedge = 1\nconcurrency = 300");
    const gate = Promise.withResolvers<void>();
    one.setFault(/./, { kind: "hang" });
    two.setFault(/./, { kind: "delay", until: gate.promise });
    const asked = Promise.all(numbered.map(get));
    // Whoever is outrun so often is asked last, so nobody is before all are on their way.
    await one.arrived(/\.mod$/, numbered.length);
    gate.resolve();
    const answers = await asked;
    expect(answers).toEqual(numbered.map((path) => ({ status: 200, body: modules.get(path) })));
    const { "two won": won = 0, "one capped": capped = 0, "one slow": slow = 0 } = await hedges();
    expect(won).toBeGreaterThan(0);
    expect(won).toBeLessThanOrEqual(64 + numbered.length / 100);
    expect(won + capped + slow).toBe(numbered.length);
  });

  test("is asked last before long", async () => {
    await start();
    one.setFault(/./, { kind: "hang" });
    await Promise.all(numbered.slice(0, 30).map(get));
    const before = one.requests.length;
    await Promise.all(numbered.slice(30, 60).map(get));
    // One of them to see whether it is well again.
    expect(one.requests.length - before).toBeLessThanOrEqual(1);
  });
});

const versions = fixtureVersions
  .filter(({ path }) => path !== "golang.org/toolchain")
  .map(({ path, version }) => `${path}@${version}`);

test.skipIf(lacks("go", ["version"])).each([
  ["everything it is asked", (): boolean => true],
  [
    "one of three requests",
    (
      (count) => (): boolean =>
        count++ % 3 === 0
    )(0),
  ],
])("go downloads all while one member hangs at %s, and no time-out is waited for", async (_, hangs) => {
  await start();
  one.setFault(({ path }) => path !== "sumdb/sum.golang.org/supported" && hangs(), { kind: "hang" });
  const machine = await createGoMachine({ GOPROXY: sluice?.url ?? "" });
  onTestFinished(() => machine.remove());

  const { code, stdout, stderr } = await machine.go(["mod", "download", "-json", ...versions]);

  expect(code, stdout + stderr).toBe(0);
  expect(stdout.match(/"Sum": /g)).toHaveLength(versions.length);
  const metrics = await (await fetch(`${sluice?.url}/metrics`)).text();
  expect(metrics).not.toMatch(/sluice_upstream_attempts_total\{[^}]*upstream_timeout/);
  expect((await hedges())["two won"]).toBeGreaterThan(0);
});
