import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import postgres from "postgres";
import { onTestFinished } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { Secret } from "../../src/core/secret.ts";
import { PostgresDatabase, type PostgresOptions } from "../../src/storage/postgres/database.ts";
import type { KeyPair } from "./certificates.ts";
import { closedPort } from "./loopback.ts";
import { lacks } from "./needs.ts";
import { type RecordedEvents, recordEvents } from "./recorded-events.ts";
import { waitFor } from "./wait-for.ts";

/** A real PostgreSQL on loopback, of one test file. */
export interface PostgresServer {
  readonly port: number;
  /** Makes an empty database. Answers its URL. */
  createDatabase(): Promise<string>;
  /** As its superuser. */
  sql(url: string): postgres.Sql;
  /** With all its connections, as a crash. */
  kill(): Promise<void>;
  /** With the same data at the same address. */
  startAgain(): Promise<void>;
  /** All its processes stand still, connected or not, until `resume`. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

export interface OpenedDatabase {
  readonly database: PostgresDatabase;
  readonly events: RecordedEvents;
}

/** Guard of every test that uses `startPostgresServer`. */
export function lacksPostgres(): boolean {
  return lacks(program("postgres"));
}

/** With `tls` it takes connections with and without. */
export async function startPostgresServer({ tls }: { readonly tls?: KeyPair } = {}): Promise<PostgresServer> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-postgres-"));
  const data = path.join(folder, "data");
  // It refuses to run as root.
  const user = process.getuid?.() === 0 ? userOf("postgres") : undefined;
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  else chmodSync(folder, 0o700);
  const ids = user === undefined ? {} : user;
  const port = await closedPort();
  const made = spawnSync(
    program("initdb"),
    ["-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"],
    { cwd: folder, encoding: "utf8", ...ids },
  );
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const admin = `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`;
  let child: ChildProcess | undefined;
  const settings = tls === undefined ? [] : ["-c", "ssl=on"];
  for (const [name, content] of tls === undefined
    ? []
    : [["server.crt", tls.cert] as const, ["server.key", tls.key] as const]) {
    await writeFile(path.join(data, name), content, { mode: 0o600 });
    if (user !== undefined) await chown(path.join(data, name), user.uid, user.gid);
  }

  const kill = async (): Promise<void> => {
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    // So that it makes no more while they are counted.
    child.kill("SIGSTOP");
    const processes = signalAll(child.pid, "SIGKILL");
    await ended;
    // A new server refuses data that a process of an old one still has open.
    await waitFor(
      () => {
        if (processes.some(isRunning)) throw new Error("some of its processes still run");
      },
      { timeout: 20_000 },
    );
  };
  const startAgain = async (): Promise<void> => {
    const args = ["-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", "", "-c", "max_connections=60", ...settings];
    // Tests kill processes, not machines.
    args.push("-c", "fsync=off", "-c", "dynamic_shared_memory_type=mmap");
    child = spawn(program("postgres"), args, { cwd: folder, stdio: "ignore", ...ids });
    await answers(admin, child);
  };
  const signal = (name: NodeJS.Signals) => (): void => {
    if (child?.pid !== undefined) signalAll(child.pid, name);
  };
  const stop = async (): Promise<void> => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await startAgain();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    createDatabase: async () => {
      const name = `sluice_${randomBytes(6).toString("hex")}`;
      const sql = connect(admin);
      await sql.unsafe(`CREATE DATABASE ${name}`);
      await sql.end();
      return `postgres://postgres@127.0.0.1:${port}/${name}?sslmode=disable`;
    },
    sql: connect,
    kill,
    startAgain,
    pause: signal("SIGSTOP"),
    resume: signal("SIGCONT"),
    stop,
  };
}

/** A database as Sluice has it, closed when the test ends. Not opened yet. */
export function databaseAt(url: string, options: Partial<PostgresOptions> = {}): OpenedDatabase {
  const events = recordEvents();
  const database = new PostgresDatabase({
    name: "postgres://127.0.0.1/sluice",
    url: new Secret(url),
    authorities: [],
    connections: 8,
    timeoutMs: 2000,
    clock: systemClock,
    events,
    ...options,
  });
  onTestFinished(() => database.close());
  return { database, events };
}

function connect(url: string): postgres.Sql {
  return postgres(url, { max: 1, connect_timeout: 5, onnotice: () => undefined, ssl: false });
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  await waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(`postgres ended with ${child.exitCode}`);
      const sql = connect(url);
      try {
        await sql`SELECT 1`;
      } finally {
        await sql.end({ timeout: 0 });
      }
    },
    { timeout: 50_000, interval: 50 },
  );
}

/** Its processes are sessions of their own. Answers which they are. */
function signalAll(pid: number, signal: NodeJS.Signals): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  const processes = [pid, ...children.filter((child) => child !== "").map(Number)];
  for (const one of processes) {
    try {
      process.kill(one, signal);
    } catch {
      // It has ended by itself meanwhile.
    }
  }
  return processes;
}

/** One that has ended and that nobody has asked for its exit code is not. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Debian keeps the server's programs out of the PATH. */
function program(name: string): string {
  const root = "/usr/lib/postgresql";
  const versions = folderNames(root).sort((a, b) => Number(b) - Number(a));
  return versions[0] === undefined ? name : path.join(root, versions[0], "bin", name);
}

function folderNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function userOf(name: string): { readonly uid: number; readonly gid: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${name}`);
  return { uid: Number(uid), gid: Number(gid) };
}
