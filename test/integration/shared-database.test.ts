import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { buildModules, fixtureFiles, type FixtureFiles } from "../support/fixture-modules.ts";
import { startFixtureUpstream } from "../support/fixture-upstream.ts";
import { lacksPostgres, type PostgresServer, startPostgresServer } from "../support/postgres-server.ts";
import { ask } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const version = "/example.com/leaf/@v/v1.0.0";
const kinds = ["info", "mod", "zip"];

describe.skipIf(lacksPostgres())("Sluices with one database", () => {
  let server: PostgresServer;
  let url: string;
  let running: RunningSluice[];

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  beforeEach(async () => {
    url = await server.createDatabase();
    running = [];
  });

  afterEach(async () => {
    await Promise.all(running.map((sluice) => sluice.stop()));
  });

  afterAll(() => server.stop());

  it("know of each other's files, and serve all the same while it is gone", async () => {
    const [one, other] = [await start(fixtureFiles()), await start(fixtureFiles())];
    for (const kind of kinds) expect((await ask(one.url, `${version}.${kind}`)).status).toBe(200);
    expect(await keysOf("sluice_facts")).toEqual(kinds.map((kind) => `${version.slice(1)}.${kind}`));
    await server.kill();
    for (const kind of kinds) expect((await ask(other.url, `${version}.${kind}`)).status).toBe(200);
    for (const kind of kinds) expect((await ask(one.url, `${version}.${kind}`)).status).toBe(200);
    expect((await ask(one.url, "/example.com/versioned/@v/list")).status).toBe(200);
    expect((await ask(one.url, "/example.com/versioned/@v/v1.0.0.mod")).status).toBe(200);
    expect((await ask(one.url, "/readyz")).status).toBe(200);
    await vi.waitFor(async () => {
      expect(String((await ask(one.url, "/readyz?verbose")).body)).toMatch(
        /database postgres:\/\/127\.0\.0\.1:\d+\/sluice_/,
      );
    });
    await server.startAgain();
    await vi.waitFor(
      async () => expect(await keysOf("sluice_facts")).toContain("example.com/versioned/@v/v1.0.0.mod"),
      {
        timeout: 25_000,
      },
    );
  }, 60_000);

  it("serve one content of a version: the first", async () => {
    const one = await start(fixtureFiles());
    const first = await ask(one.url, `${version}.zip`);
    const other = await start(changed());
    const refused = await ask(other.url, `${version}.zip`);
    expect(refused.status).toBe(502);
    expect(String(refused.body)).toContain("its h1 was");
    expect((await ask(one.url, `${version}.zip`)).body.equals(first.body)).toBe(true);
  });

  it("take back what turns out not to be the first", async () => {
    const one = await start(fixtureFiles());
    await server.kill();
    const dataDir = await mkdtemp(path.join(tmpdir(), "sluice-data-"));
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
    const other = await start(changed(), { dataDir });
    expect((await ask(other.url, `${version}.zip`)).status).toBe(200);
    await other.stop();
    await server.startAgain();
    await vi.waitFor(
      async () => {
        await ask(one.url, `${version}.zip`);
        // With it come the other files of the version, before or after.
        expect(await keysOf("sluice_facts")).toContain(`${version.slice(1)}.zip`);
      },
      { timeout: 25_000 },
    );
    await server.kill();
    const again = await start(changed(), { dataDir });
    expect((await ask(again.url, `${version}.zip`)).status).toBe(200);
    await server.startAgain();
    // Asked for all the time, it is taken back once, and not fetched as if nothing were known of it.
    const statuses: (number | undefined)[] = [];
    const deadline = performance.now() + 40_000;
    while (performance.now() < deadline && statuses.filter((status) => status !== 200).length < 10) {
      statuses.push((await ask(again.url, `${version}.zip`)).status);
    }
    expect(new Set(statuses.slice(statuses.findIndex((status) => status !== 200)))).toEqual(new Set([502]));
    await again.saw(/another node was first with another content/);
    expect(again.output().match(/another node was first with another content/g)).toHaveLength(1);
    expect((await ask(one.url, `${version}.zip`)).status).toBe(200);
  }, 120_000);

  it("refuse to start with a wrong password, and show none", async () => {
    const database = url.replace("postgres@", "nobody:very-secret@");
    const upstream = await startFixtureUpstream();
    onTestFinished(() => upstream.close());
    const failing = startSluiceProcess({ upstream: upstream.url, env: { SLUICE_DATABASE_URL: database } });
    const error = String(await failing.catch((refusal: unknown) => refusal));
    expect(error).toMatch(/check user and password in \[database\]/);
    expect(error).not.toContain("very-secret");
  });

  async function start(modules: FixtureFiles, options: { readonly dataDir?: string } = {}): Promise<RunningSluice> {
    const upstream = await startFixtureUpstream({ modules });
    onTestFinished(() => upstream.close());
    const env = { SLUICE_DATABASE_URL: url };
    const sluice = await startSluiceProcess({ upstream: upstream.url, env, ...options });
    running.push(sluice);
    return sluice;
  }

  async function keysOf(table: string): Promise<string[]> {
    const sql = server.sql(url);
    try {
      return (await sql.unsafe(`SELECT key FROM ${table} ORDER BY key`)).map(({ key }) => String(key));
    } finally {
      await sql.end();
    }
  }
});

/** The same version with another zip. */
function changed(): FixtureFiles {
  return buildModules([{ path: "example.com/leaf", version: "v1.0.0", files: { "leaf.go": "package other\n" } }]);
}
