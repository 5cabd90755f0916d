import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { z } from "zod";
import { parseSignerKey } from "../../src/protocol/sumdb/index.ts";
import { buildOracle } from "./go-oracle.ts";
import { sumLogSigner } from "./sum-log.ts";

export interface GoSumServerOptions {
  /** Default `sum.example.com`. */
  readonly name?: string;
  /** Default: the one that `startSumLog` has for the name. */
  readonly signerKey?: string;
  /** A fixed port, for a server that comes back. Default: a free one. */
  readonly port?: number;
}

export interface GoSumRecord {
  readonly path: string;
  readonly version: string;
  readonly text: string;
}

/** A checksum database on loopback, served by golang.org/x/mod's own code; as a proxy would below `/sumdb/<name>/`, too. */
export interface GoSumServer {
  /** Without trailing slash. */
  readonly url: string;
  readonly name: string;
  readonly verifierKey: string;
  /** What goes into GOSUMDB to ask it past all proxies: key and address. */
  readonly gosumdb: string;
  /** Appends a record and answers its number. */
  add(record: GoSumRecord): Promise<number>;
  /** Appends a record once somebody looks it up. */
  addLazily(record: GoSumRecord): Promise<void>;
  /** Safe to call twice. */
  close(): Promise<void>;
}

const answerSchema = z.object({ port: z.number().optional(), id: z.number().optional() });

/** Builds `test/oracle/sumdb-server` and starts it. Guard the test with `lacksOracles()`. */
export async function startGoSumServer(options: GoSumServerOptions = {}): Promise<GoSumServer> {
  const name = options.name ?? "sum.example.com";
  const signer = options.signerKey ?? sumLogSigner(name);
  const child = spawnServer();
  const ask = conversation(child);
  const { port } = await ask({ name, signer, port: options.port ?? 0 });
  if (port === undefined) throw new Error("the Go log server does not say its port");
  const { verifierKey } = parseSignerKey(signer);
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    name,
    verifierKey,
    gosumdb: `${verifierKey} ${url}`,
    async add(record) {
      const { id } = await ask({ ...record, lazy: false });
      if (id === undefined) throw new Error("the Go log server did not append the record");
      return id;
    },
    async addLazily(record) {
      await ask({ ...record, lazy: true });
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.stdin.end();
      await ended;
    },
  };
}

function spawnServer() {
  return spawn(buildOracle("sumdb-server"), { stdio: ["pipe", "pipe", "inherit"] });
}

type Ask = (line: unknown) => Promise<z.infer<typeof answerSchema>>;

/** Lines in and out, one for one. */
function conversation(child: ReturnType<typeof spawnServer>): Ask {
  const waiting: PromiseWithResolvers<z.infer<typeof answerSchema>>[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    waiting.shift()?.resolve(answerSchema.parse(JSON.parse(line)));
  });
  child.on("exit", (code) => {
    for (const asked of waiting.splice(0)) asked.reject(new Error(`the Go log server ended with ${code}`));
  });
  return (line) => {
    const asked = Promise.withResolvers<z.infer<typeof answerSchema>>();
    waiting.push(asked);
    child.stdin.write(`${JSON.stringify(line)}\n`);
    return asked.promise;
  };
}
