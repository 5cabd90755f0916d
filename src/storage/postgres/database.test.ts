import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import {
  databaseAt,
  lacksPostgres,
  type PostgresServer,
  startPostgresServer,
} from "../../../test/support/postgres-server.ts";
import { createAuthority } from "../../../test/support/certificates.ts";
import { databaseOpener } from "../../../test/support/database-opener.ts";
import { lacks } from "../../../test/support/needs.ts";
import { closedPort } from "../../../test/support/loopback.ts";
import { muteFrom } from "../../../test/support/mute-way.ts";
import { Secret } from "../../core/secret.ts";
import type { PostgresDatabase } from "./database.ts";
import { postgresMigrations } from "./schema.ts";

const migrated = postgresMigrations.map((_, index) => ({ version: index + 1 }));

describe.skipIf(lacksPostgres())("a PostgreSQL database", () => {
  let server: PostgresServer;
  let url: string;

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  beforeEach(async () => {
    url = await server.createDatabase();
  });

  afterAll(() => server.stop());

  describe("when it is opened", () => {
    it("is set up once by many at the same time", async () => {
      const databases = Array.from({ length: 8 }, () => databaseAt(url).database);
      await Promise.all(databases.map((database) => database.open()));
      expect(databases.every(({ isUp }) => isUp)).toBe(true);
      expect(await query(`SELECT version FROM sluice_migrations ORDER BY version`)).toEqual(migrated);
    });

    it("is set up once by several processes", async () => {
      const children = Array.from({ length: 3 }, () =>
        spawn(process.execPath, [databaseOpener, url], { stdio: ["ignore", "ignore", "inherit"] }),
      );
      const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]));
      expect(codes).toEqual([0, 0, 0]);
      expect(await query(`SELECT version FROM sluice_migrations ORDER BY version`)).toEqual(migrated);
    });

    it("is brought further by a newer Sluice, and changed in nothing by one that fails at it", async () => {
      await databaseAt(url).database.open();
      const failing = [...postgresMigrations, "CREATE TABLE sluice_new (x integer); SELECT 1 / 0;"];
      await expect(databaseAt(url, { migrations: failing }).database.open()).rejects.toMatchObject({
        code: "storage_failed",
      });
      expect(await query(`SELECT to_regclass('sluice_new') AS found`)).toEqual([{ found: null }]);
      const right = [...postgresMigrations, "CREATE TABLE sluice_new (x integer)"];
      await databaseAt(url, { migrations: right }).database.open();
      expect(await query(`SELECT max(version) AS version FROM sluice_migrations`)).toEqual([
        { version: postgresMigrations.length + 1 },
      ]);
    });

    it("of a newer Sluice is refused and left alone", async () => {
      await databaseAt(url, {
        migrations: [...postgresMigrations, "CREATE TABLE sluice_new (x integer)"],
      }).database.open();
      await expect(databaseAt(url).database.open()).rejects.toMatchObject({
        code: "storage_failed",
        message: expect.stringMatching(/newer Sluice \(schema 3, this one knows 2\): run that one/),
      });
    });

    it("needs no right to make tables once they are there", async () => {
      await databaseAt(url).database.open();
      await query(`DROP ROLE IF EXISTS reader`);
      await query(`CREATE ROLE reader LOGIN`);
      await query(`GRANT ALL ON ALL TABLES IN SCHEMA public TO reader`);
      const { database } = databaseAt(url.replace("postgres@", "reader@"));
      await database.open();
      expect(await answersOf(database)).toBe(1);
    });

    it.each([
      ["a database that is not there", (text: string) => text.replace(/sluice_\w+/, "missing"), /createdb/],
      [
        "a user that is not there",
        (text: string) => text.replace("postgres@", "nobody:very-secret@"),
        /user and password/,
      ],
      ["a user who may not make tables", (text: string) => text.replace("postgres@", "guest@"), /create tables/],
    ])("is refused in words with %s, and without a secret", async (_, change, words) => {
      await query(`DROP ROLE IF EXISTS guest`);
      await query(`CREATE ROLE guest LOGIN`);
      const error = await databaseAt(change(url))
        .database.open()
        .catch((refusal: unknown) => refusal);
      expect(error).toMatchObject({ code: "storage_failed", message: expect.stringMatching(words) });
      expect(String(error)).not.toContain("very-secret");
    });

    it("may not be there yet", async () => {
      const port = await closedPort();
      const { database, events } = databaseAt(`postgres://sluice:very-secret@127.0.0.1:${port}/sluice`);
      await database.open();
      expect(database.isUp).toBe(false);
      expect(database.health()).toMatchObject({
        state: "down",
        isNeeded: false,
        detail: expect.stringContaining("ECONNREFUSED"),
      });
      expect(events.of("database_state")).toMatchObject([{ state: "down" }]);
      await expect(answersOf(database)).rejects.toMatchObject({ code: "storage_failed" });
      expect(JSON.stringify([database.health(), events.all])).not.toContain("very-secret");
    });

    it("takes the password from its own place", async () => {
      await query(`DROP ROLE IF EXISTS keeper`);
      await query(`CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'x'`);
      const { database } = databaseAt(url.replace("postgres@", "keeper@"), { password: new Secret("x") });
      await database.open();
      expect(await answersOf(database)).toBe(1);
    });
  });

  describe("under use", () => {
    it("is used again after a crash, without a restart of ours", async () => {
      const { database, events } = await opened();
      await server.kill();
      await expect(answersOf(database)).rejects.toMatchObject({ code: "storage_failed" });
      expect(database.health()).toMatchObject({ state: "down" });
      const isBack = upAgain(database);
      await server.startAgain();
      await isBack;
      expect(await answersOf(database)).toBe(1);
      const states = events.of("database_state").map(({ state }) => state);
      // While it starts it gives other reasons.
      expect([states[0], states.at(-1), states.indexOf("up")]).toEqual(["down", "up", states.length - 1]);
    });

    it("that was started anew between two statements is not noticed", async () => {
      const { database, events } = await opened();
      expect(await answersOf(database)).toBe(1);
      await server.kill();
      await server.startAgain();
      expect(await answersOf(database)).toBe(1);
      expect(await database.write(async (sql) => (await sql`SELECT 1 AS one`)[0]?.["one"])).toBe(1);
      expect(events.of("database_state")).toEqual([]);
    });

    it("that hangs costs those who ask one short wait, and then nothing", async () => {
      const { database, events } = await opened({ timeoutMs: 200 });
      expect(await answersOf(database)).toBe(1);
      server.pause();
      try {
        const waiting = await Promise.allSettled(Array.from({ length: 20 }, () => answersOf(database)));
        expect(waiting.every(({ status }) => status === "rejected")).toBe(true);
        const sockets = vi.fn<() => void>();
        await expect(database.read(async (sql) => (sockets(), sql`SELECT 1`))).rejects.toMatchObject({
          message: expect.stringContaining("is not asked now"),
        });
        await expect(database.write(async (sql) => (sockets(), sql`SELECT 1`))).rejects.toMatchObject({
          message: expect.stringContaining("is not asked now"),
        });
        expect(sockets).not.toHaveBeenCalled();
      } finally {
        server.resume();
      }
      await vi.waitFor(() => expect(database.isUp).toBe(true), { timeout: 20_000 });
      expect(await database.write(async (sql) => (await sql`SELECT 1 AS one`)[0]?.["one"])).toBe(1);
      expect(
        events
          .of("database_state")
          .map(({ state }) => state)
          .filter((state) => state === "up"),
      ).toHaveLength(1);
    });

    it("that hangs while the library asks for its types ends no process", async () => {
      const { port } = new URL(url);
      const mute = await muteFrom("pg_catalog.pg_type", Number(port));
      const child = spawn(process.execPath, [databaseOpener, url.replace(`:${port}/`, `:${mute.port}/`)], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const [errors, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
      // It goes on without the database, and says so by 1. Node ends with 7 where nobody has caught an error.
      expect([mute.hasBegun(), code], errors).toEqual([true, 1]);
    });

    it("keeps nothing of a transaction that fails", async () => {
      const { database } = await opened();
      const failing = database.write(async (sql) => {
        await sql`INSERT INTO sluice_uses VALUES ('a', 1)`;
        await sql`INSERT INTO sluice_uses VALUES ('a', 1)`;
      });
      await expect(failing).rejects.toMatchObject({ code: "storage_failed" });
      expect(await query(`SELECT * FROM sluice_uses`)).toEqual([]);
      expect(database.isUp).toBe(true);
    });

    it("refuses in words when it is closed", async () => {
      const { database } = await opened();
      await database.close();
      await expect(answersOf(database)).rejects.toMatchObject({
        code: "storage_failed",
        message: expect.stringContaining("closed"),
      });
    });
  });

  async function opened(options: Parameters<typeof databaseAt>[1] = {}) {
    const found = databaseAt(url, options);
    await found.database.open();
    return found;
  }

  async function query(text: string): Promise<unknown> {
    const sql = server.sql(url);
    try {
      return [...(await sql.unsafe(text))];
    } finally {
      await sql.end();
    }
  }
});

describe.skipIf(lacksPostgres() || lacks("openssl", ["version"]))("a PostgreSQL database with TLS", () => {
  const authority = createAuthority();
  let server: PostgresServer;
  let url: string;

  beforeAll(async () => {
    server = await startPostgresServer({ tls: authority.issue("IP:127.0.0.1") });
    url = await server.createDatabase();
  });

  afterAll(() => server.stop());

  it.each([
    ["disable", [], false],
    [undefined, [], true],
    ["prefer", [], true],
    ["require", [], true],
    ["verify-ca", [authority.cert], true],
    ["verify-full", [authority.cert], true],
  ])("and sslmode=%s is used", async (mode, authorities, isEncrypted) => {
    const { database } = databaseAt(withMode(mode), { authorities });
    await database.open();
    const sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    expect(await database.read(async (statements) => (await statements.unsafe(sql))[0]?.["ssl"])).toBe(isEncrypted);
  });

  it.each([
    ["verify-ca", "127.0.0.1", []],
    ["verify-full", "127.0.0.1", []],
    ["verify-full", "localhost", [authority.cert]],
  ])("and sslmode=%s is refused at %s when nobody who is trusted vouches for it", async (mode, host, authorities) => {
    const { database } = databaseAt(withMode(mode).replace("127.0.0.1", host), { authorities });
    await expect(database.open()).rejects.toMatchObject({
      code: "storage_failed",
      message: expect.stringContaining("ca_file in [database]"),
    });
  });

  function withMode(mode: string | undefined): string {
    return url.replace("?sslmode=disable", mode === undefined ? "" : `?sslmode=${mode}`);
  }
});

function upAgain(database: PostgresDatabase): Promise<void> {
  return new Promise((resolve) => {
    database.onUp(resolve);
  });
}

function answersOf(database: PostgresDatabase): Promise<unknown> {
  return database.read(async (sql) => (await sql`SELECT 1 AS one`)[0]?.["one"]);
}
