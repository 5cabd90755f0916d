import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const info = "example.com/leaf/@v/v1.2.0.info";
const goMod = "example.com/leaf/@v/v1.2.0.mod";
/** Anything asked after it was asked for before. */
const last = "example.com/leaf/@v/list";

let folder: string;
let upstream: FixtureUpstream;
let sluice: RunningSluice | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-mod-ahead-"));
  upstream = await startFixtureUpstream();
});
afterEach(async () => {
  await sluice?.stop();
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(settings: string): Promise<RunningSluice> {
  const file = join(folder, "sluice.toml");
  await writeFile(file, `[upstream]\nchain = "${upstream.url}"\n${settings}`);
  return (sluice = await startSluiceProcess({ upstream: "off", args: ["--config", file] }));
}

function paths(): readonly string[] {
  return upstream.requests.map(({ path }) => path);
}

describe("the .mod of a version", () => {
  test("is on its way together with its .info, and asked for once", async () => {
    const { url } = await start("");
    const gate = Promise.withResolvers<void>();
    upstream.setFault(/leaf/, { kind: "delay", until: gate.promise });
    const answers = [ask(url, `/${info}`)];
    await upstream.arrived(goMod);
    answers.push(ask(url, `/${goMod}`), ask(url, `/${info}`));
    gate.resolve();
    const [first, second] = await Promise.all(answers);
    const bodies = [first, second].map((answer) => [answer?.status, answer?.body.toString()]);
    expect(bodies).toEqual([
      [200, expect.stringContaining('"Version":"v1.2.0"')],
      [200, Buffer.from(fixtureFiles().get(goMod) ?? "").toString()],
    ]);
    expect(paths().toSorted()).toEqual([info, goMod]);
  });

  test("that does not come fails no .info, and is fetched when it is asked for", async () => {
    const { url } = await start("attempts = 1\nwait_while_down = '0s'\n");
    upstream.setFault(goMod, { kind: "status", status: 500, times: 1 });
    expect((await ask(url, `/${info}`)).status).toBe(200);
    await upstream.arrived(goMod);
    await expect.poll(async () => (await ask(url, `/${goMod}`)).status).toBe(200);
  });

  test("that was not there before its .info was is asked for again", async () => {
    const { url } = await start("");
    const gate = Promise.withResolvers<void>();
    upstream.setFault(info, { kind: "delay", until: gate.promise });
    upstream.setFault(goMod, { kind: "status", status: 404, times: 1 });
    const first = ask(url, `/${info}`);
    await upstream.arrived(goMod);
    const metrics = async (): Promise<string> => (await ask(url, "/metrics")).body.toString();
    await expect.poll(metrics).toContain('sluice_fetches_total{outcome="not_found"} 1');
    gate.resolve();
    expect((await first).status).toBe(200);
    expect((await ask(url, `/${goMod}`)).status).toBe(200);
  });

  test("that turns out to be missing while a client waits for it is asked for once more", async () => {
    const { url } = await start("");
    const gate = Promise.withResolvers<void>();
    upstream.setFault(goMod, {
      kind: "handler",
      handle: (_request, response) => void gate.promise.then(() => response.writeHead(404).end("not found")),
      times: 1,
    });
    expect((await ask(url, `/${info}`)).status).toBe(200);
    const waiting = ask(url, `/${goMod}`);
    await upstream.arrived(goMod);
    gate.resolve();
    expect((await waiting).status).toBe(200);
    expect(upstream.requestsFor(goMod)).toHaveLength(2);
  });

  test("is not asked for where it is stored, private, or from another chain that has no upstream", async () => {
    const { url } = await start(`private = "example.com/nested"
[[upstream.route]]
patterns = "gopkg.in"
chain = "off"
`);
    expect((await ask(url, `/${goMod}`)).status).toBe(200);
    expect((await ask(url, `/${info}`)).status).toBe(200);
    for (const module of ["example.com/nested/a/@v/v1.0.0", "gopkg.in/fixture.v2/@v/v2.3.4"])
      expect((await ask(url, `/${module}.info`)).status).not.toBe(200);
    expect((await ask(url, `/${last}`)).status).toBe(200);
    expect(paths()).toEqual([goMod, info, last]);
  });

  test("is left alone with go_mod_ahead off", async () => {
    const { url } = await start("go_mod_ahead = false\n");
    expect((await ask(url, `/${info}`)).status).toBe(200);
    expect((await ask(url, `/${last}`)).status).toBe(200);
    expect(paths()).toEqual([info, last]);
  });
});
