import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { type FrontEndProgram, frontEnds } from "../support/front-end.ts";
import { closedPort } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";
import { ask } from "../support/raw-http.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

const files = fixtureFiles();
/** Some of each kind; the last is large enough to be streamed. */
const paths = [
  "example.com/leaf/@v/list",
  "example.com/leaf/@v/v1.2.0.info",
  "example.com/leaf/@v/v1.2.0.mod",
  "example.com/leaf/@v/v1.2.0.zip",
  "example.com/!upper/!case/@v/v1.0.0.zip",
  "example.com/big/@v/v1.0.0.zip",
];

let upstream: FixtureUpstream;
beforeAll(async () => {
  upstream = await startFixtureUpstream();
  return () => upstream.close();
});

/** A Sluice that comes back at the same address with the same data. */
class Node {
  readonly address: string;
  readonly #dataDir: string;
  #sluice: RunningSluice | undefined;

  private constructor(address: string, dataDir: string) {
    this.address = address;
    this.#dataDir = dataDir;
  }

  static async start(): Promise<Node> {
    const dataDir = await mkdtemp(path.join(tmpdir(), "sluice-node-"));
    onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
    const node = new Node(`127.0.0.1:${await closedPort()}`, dataDir);
    await node.start();
    onTestFinished(() => node.end("SIGKILL"));
    return node;
  }

  async start(): Promise<void> {
    this.#sluice = await startSluiceProcess({
      upstream: upstream.url,
      env: { SLUICE_LISTEN: this.address, SLUICE_LOG_LEVEL: "warn" },
      dataDir: this.#dataDir,
    });
  }

  /** Resolves once clients' requests come to it. */
  async isAsked(): Promise<void> {
    await vi.waitFor(
      async () => {
        const { body } = await get(`http://${this.address}/metrics`);
        if (!/^sluice_requests_total\{kind="info".* [1-9]/m.test(body.toString())) throw new Error("not yet");
      },
      { timeout: 20_000, interval: 100 },
    );
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    await this.#sluice?.stop(signal);
  }
}

/** Clients that ask for everything, one after the other, until they are told to stop. */
class Clients {
  readonly failures: string[] = [];
  answered = 0;
  #stopped = false;
  readonly #done: Promise<unknown>;

  constructor(url: string, count: number) {
    this.#done = Promise.all(Array.from({ length: count }, (_, index) => this.#ask(url, index)));
  }

  /** Resolves when `count` more answers have come. */
  async more(count: number): Promise<void> {
    const goal = this.answered + count;
    while (this.answered < goal && this.failures.length === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #ask(url: string, index: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = index; !this.#stopped; turn++) {
      const path = paths[turn % paths.length] ?? "";
      const problem = await get(`${url}/${path}`, agent).then(
        ({ status, body }) => {
          if (status !== 200) return `${status} ${body.toString().slice(0, 300)}`;
          const wanted = files.get(path);
          return path.endsWith("/list") || (wanted !== undefined && isSame(path, body, wanted))
            ? undefined
            : "other bytes";
        },
        (error: unknown) => String(error),
      );
      if (problem === undefined) this.answered++;
      else this.failures.push(`${path}: ${problem}`);
    }
    agent.destroy();
  }
}

function isSame(path: string, body: Buffer, wanted: Uint8Array): boolean {
  // .info is written anew.
  return path.endsWith(".info") ? body.toString().includes('"Version":"v1.2.0"') : body.equals(wanted);
}

function get(url: string, agent?: Agent): Promise<{ readonly status: number; readonly body: Buffer }> {
  return new Promise((resolve, reject) => {
    request(url, agent === undefined ? {} : { agent }, (response) => {
      buffer(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject);
    })
      .on("error", reject)
      .end();
  });
}

async function scene({ start }: FrontEndProgram): Promise<{ readonly url: string; readonly nodes: readonly Node[] }> {
  const nodes = [await Node.start(), await Node.start()];
  for (const { address } of nodes) {
    for (const path of paths) await get(`http://${address}/${path}`);
  }
  const frontEnd = await start(nodes.map(({ address }) => address));
  onTestFinished(() => frontEnd.stop());
  return { url: frontEnd.url, nodes };
}

// A dozen processes start and end here.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

for (const frontEnd of frontEnds) {
  describe.skipIf(lacks(frontEnd.program, frontEnd.versionArgs))(`behind ${frontEnd.name} as in deploy/`, () => {
    test("a rolling restart under load loses no request", async () => {
      const { url, nodes } = await scene(frontEnd);
      const clients = new Clients(url, 8);
      await clients.more(100);
      for (const node of [...nodes, ...nodes]) {
        await node.end("SIGTERM");
        await clients.more(50);
        await node.start();
        await node.isAsked();
      }
      await clients.stop();
      expect(clients.failures).toEqual([]);
    });

    test("a node that hangs or dies costs no request that was not under way at it", async () => {
      const { url, nodes } = await scene(frontEnd);
      await nodes[0]?.end("SIGKILL");
      const clients = new Clients(url, 8);
      await clients.more(100);
      await nodes[0]?.start();
      await clients.more(100);
      await clients.stop();
      expect(clients.failures).toEqual([]);
    });

    test("what does not exist is asked of one node only, and a list comes from Sluice each time", async () => {
      const { url } = await scene(frontEnd);
      const before = upstream.requests.length;
      const { status, body } = await get(`${url}/example.com/nothing-here/@v/list`);
      expect(status).toBe(404);
      expect(body.toString()).toContain("not found");
      expect(upstream.requests.length - before).toBe(1);
      const first = await fetch(`${url}/example.com/leaf/@v/list`);
      const second = await fetch(`${url}/example.com/leaf/@v/list`);
      expect(first.headers.get("x-request-id")).not.toBe(second.headers.get("x-request-id"));
      const operators = [
        "/-/status",
        "/%2d/status",
        "/%2D/status",
        "/./-/status",
        "/%2e/%2d/status",
        "/x/..%2f-/status",
      ];
      for (const path of [...operators, "/x/../-/status", "/x/%2E%2e/-/status", "/x/y/../.././-/status"]) {
        expect((await ask(url, path)).status, path).toBe(403);
      }
    });
  });
}

const nginx = frontEnds.find(({ program }) => program === "nginx");

describe.skipIf(nginx === undefined || lacks("nginx", ["-v"]))("nginx alone", () => {
  test("files of a version come from its cache when every node is down", async () => {
    if (nginx === undefined) throw new Error("nginx is not among the front ends");
    const { url, nodes } = await scene(nginx);
    for (const path of paths) expect((await get(`${url}/${path}`)).status).toBe(200);
    for (const node of nodes) await node.end("SIGTERM");
    for (const path of paths.filter((path) => /\.(mod|zip)$/.test(path))) {
      const { status, body } = await get(`${url}/${path}`);
      expect({ path, status, isSame: body.equals(files.get(path) ?? Buffer.alloc(0)) }).toEqual({
        path,
        status: 200,
        isSame: true,
      });
    }
    expect((await get(`${url}/example.com/leaf/@v/list`)).status).toBe(502);
  });
});

describe("with `hash`, as the files say,", () => {
  test.each([
    ["nginx", (text: string) => text.replace(/^ *least_conn;/m, "hash $sluice_module consistent;")],
    [
      "HAProxy",
      (text: string) =>
        text
          .replace(/^ *balance leastconn$/m, "")
          .replace(/^ *# {3}(?=http-request set-var|balance hash|hash-type)/gm, ""),
    ],
  ])(
    "all requests for a module go to one node behind %s, and to the other one when that is away",
    async (name, edit) => {
      const program = frontEnds.find((candidate) => candidate.name === name);
      if (program === undefined) throw new Error(`${name} is not among the front ends`);
      const nodes = [await Node.start(), await Node.start()];
      const frontEnd = await program.start(
        nodes.map(({ address }) => address),
        (text) => {
          const edited = edit(text);
          expect(edited).toMatch(/^ *(hash \$sluice_module consistent;|balance hash var\(txn\.module\))$/m);
          return edited;
        },
      );
      onTestFinished(() => frontEnd.stop());
      const asked = ["leaf", "versioned", "pseudo", "big", "legacy", "retracted"];
      for (const name of asked) {
        const before = upstream.requests.length;
        for (let turn = 0; turn < 4; turn++) await get(`${frontEnd.url}/example.com/${name}/@v/list`);
        expect(upstream.requests.slice(before).map(({ path }) => path)).toEqual([`example.com/${name}/@v/list`]);
      }
      await nodes[0]?.end("SIGTERM");
      for (const name of asked) {
        expect((await get(`${frontEnd.url}/example.com/${name}/@v/list`)).status).toBe(200);
      }
    },
  );
});
