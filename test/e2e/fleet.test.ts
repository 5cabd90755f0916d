import { mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { buildModules, fixtureFiles, type FixtureFiles, incompressible } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type FrontEnd, frontEnds } from "../support/front-end.ts";
import { createGoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";
import { lacksPostgres } from "../support/postgres-server.ts";
import { ask } from "../support/raw-http.ts";
import { lacksRedis } from "../support/redis-server.ts";
import { lacksS3Server } from "../support/s3-programs.ts";
import { minio, type SharedParts, startSharedParts } from "../support/shared-parts.ts";
import { SluiceNode } from "../support/sluice-node.ts";

/** What is asked for while nothing is wrong yet. */
const known = new Map([...fixtureFiles()].filter(([key]) => !key.startsWith("golang.org/")));
const knownModules = ["example.com/big@v1.0.0", "example.com/nested/a@v1.0.0", "example.com/Upper/Case@v1.0.0"];
const nginx = frontEnds.find(({ program }) => program === "nginx");
const isMissing =
  lacks("go", ["version"]) ||
  lacks("nginx", ["-v"]) ||
  lacksRedis() ||
  lacksPostgres() ||
  minio === undefined ||
  lacksS3Server(minio);

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });
const patience = { timeout: 60_000, interval: 100 };

describe.skipIf(isMissing)("two nodes, MinIO, PostgreSQL and Redis behind nginx", () => {
  let files: FixtureFiles;
  let upstream: FixtureUpstream;
  let parts: SharedParts;
  let nodes: SluiceNode[];
  let frontEnd: FrontEnd;
  let started: AsyncDisposableStack;

  beforeEach(async () => {
    started = new AsyncDisposableStack();
    files = new Map(known);
    upstream = await startFixtureUpstream({ modules: files });
    started.defer(() => upstream.close());
    parts = started.use(await startSharedParts());
    nodes = [await startNode(upstream.url), await startNode(upstream.url)];
    if (nginx === undefined) throw new Error("nginx is not among the front ends");
    frontEnd = await nginx.start(nodes.map(({ port }) => `127.0.0.1:${port}`));
    started.defer(() => frontEnd.stop());
    for (const [key, bytes] of known) {
      const problem = await problemOf(frontEnd.url, key, bytes);
      if (problem !== undefined) throw new Error(`${key}: ${problem}`);
    }
    await allIsWell();
  });
  afterEach(() => started.disposeAsync());

  async function startNode(chain: string): Promise<SluiceNode> {
    const dataDir = await mkdtemp(path.join(tmpdir(), "sluice-fleet-"));
    started.defer(() => rm(dataDir, { recursive: true, force: true }));
    const node = await SluiceNode.start({ upstream: chain, dataDir, env: parts.env() });
    started.defer(() => node.stop("SIGKILL"));
    return node;
  }

  function startLoad(): Load {
    const load = new Load(frontEnd.url);
    started.defer(() => load.end());
    return load;
  }

  /** Every node is ready and asked by nginx, works with all parts, and owes them nothing. */
  async function allIsWell(): Promise<void> {
    await vi.waitFor(async () => {
      for (const node of nodes) {
        expect(await node.isReady()).toBe(true);
        expect(await node.isAsked()).toBe(true);
        expect(await node.parts()).not.toMatch(/^\[(?!ok\])/m);
        expect((await ask(node.url, "/metrics")).body.toString()).toMatch(/^sluice_outbox_files 0$/m);
      }
    }, patience);
  }

  test("each part is killed, and made to hang, in turn under load: no request for what is known fails", async () => {
    const { bucket, database, redis } = parts;
    const load = startLoad();
    const faults: readonly (readonly [name: string, hurt: () => unknown, heal: () => unknown])[] = [
      ["Redis is killed", () => redis.kill(), () => redis.restart()],
      ["Redis hangs", () => redis.hang(), () => redis.resume()],
      ["PostgreSQL is killed", () => database.kill(), () => database.startAgain()],
      ["PostgreSQL hangs", () => database.pause(), () => database.resume()],
      ["MinIO is killed", () => bucket.kill(), () => bucket.startAgain()],
      ["MinIO hangs", () => bucket.pause(), () => bucket.resume()],
      ...nodes.map(
        (node, index) => [`node ${index} is killed`, () => node.stop("SIGKILL"), () => node.start()] as const,
      ),
    ];
    for (const [name, hurt, heal] of faults) {
      await hurt();
      await load.more(known.size);
      await heal();
      await load.more(known.size);
      await allIsWell();
      expect(load.failures, name).toEqual([]);
    }
    await load.end();
    expect(load.failures).toEqual([]);
    // Whatever the nodes acknowledged is in the bucket: one that has nothing else serves it.
    const other = await startNode("off");
    for (const [key, bytes] of known) expect(await problemOf(other.url, key, bytes), key).toBeUndefined();
  });

  test("each node dies while it fetches what nobody has asked for before: the other one has all of it", async () => {
    const load = startLoad();
    for (const [index, node] of nodes.entries()) {
      const cold = coldFiles(`example.com/cold${index}`);
      for (const [key, bytes] of cold) files.set(key, bytes);
      const zips = [...cold].filter(([key]) => key.endsWith(".zip"));
      const areZips = new RegExp(`/cold${index}/.*\\.zip$`);
      const gate = Promise.withResolvers<void>();
      upstream.setFault(areZips, { kind: "delay", until: gate.promise });
      const answers = zips.map(([key, bytes]) => problemOf(frontEnd.url, key, bytes));
      await upstream.arrived(areZips, zips.length);
      // nginx gives a request to the node that has fewer: by now this one has some of them.
      await node.stop("SIGKILL");
      gate.resolve();
      expect(await Promise.all(answers)).toEqual(zips.map(() => undefined));
      for (const [key, bytes] of cold) expect(await problemOf(frontEnd.url, key, bytes), key).toBeUndefined();
      upstream.clearFaults();
      await node.start();
      await allIsWell();
    }
    await load.end();
    expect(load.failures).toEqual([]);
  });
});

/** Zips that a node has whole before it answers. */
function coldFiles(prefix: string): FixtureFiles {
  return buildModules(
    Array.from({ length: 16 }, (_, index) => ({
      path: `${prefix}/m${index}`,
      version: "v1.0.0",
      files: { "doc.go": "package m\n", data: incompressible(index * 10_000) },
      goMod: `module ${prefix}/m${index}\n\ngo 1.21\n`,
    })),
  );
}

/** Clients that ask for all that is known, again and again, and the real go command beside them. */
class Load {
  readonly failures: string[] = [];
  #answered = 0;
  #isEnding = false;
  readonly #url: string;
  readonly #done: Promise<unknown>;
  readonly #watchers = new Set<() => void>();

  constructor(url: string) {
    this.#url = url;
    this.#done = Promise.all([this.#download(), ...[0, 1, 2, 3].map((offset) => this.#ask(offset))]);
  }

  /** Resolves when so many more answers have come. */
  async more(count: number): Promise<void> {
    const goal = this.#answered + count;
    while (this.#answered < goal && this.failures.length === 0) {
      const next = Promise.withResolvers<void>();
      this.#watchers.add(next.resolve);
      await next.promise;
    }
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#done;
  }

  async #ask(offset: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const files = [...known];
    for (let turn = offset * 7; !this.#isEnding; turn++) {
      const [key, bytes] = files[turn % files.length] ?? ["", new Uint8Array()];
      this.#count(key, await problemOf(this.#url, key, bytes, agent));
    }
    agent.destroy();
  }

  async #download(): Promise<void> {
    const machine = await createGoMachine({ GOPROXY: this.#url });
    while (!this.#isEnding) {
      await machine.clearModCache();
      const { code, stdout, stderr } = await machine.go(["mod", "download", "-json", ...knownModules]);
      this.#count("go mod download", code === 0 ? undefined : stdout + stderr);
    }
    await machine.remove();
  }

  #count(what: string, problem: string | undefined): void {
    this.#answered += 1;
    if (problem !== undefined) this.failures.push(`${what}: ${problem}`);
    for (const wake of this.#watchers) wake();
    this.#watchers.clear();
  }
}

async function problemOf(url: string, key: string, wanted: Uint8Array, agent?: Agent): Promise<string | undefined> {
  const options = agent === undefined ? {} : { agent };
  const answer = await ask(url, `/${key}`, options).catch((error: unknown) => String(error));
  if (typeof answer === "string") return answer;
  const { status, body, broken } = answer;
  if (status !== 200 || broken) return `${status} ${broken ? "cut" : ""} ${body.toString().slice(0, 300)}`;
  // The others are written by Sluice itself.
  if (!/\.(mod|zip)$/.test(key)) return body.length > 0 || wanted.length === 0 ? undefined : "empty";
  return body.equals(wanted) ? undefined : "other bytes";
}
