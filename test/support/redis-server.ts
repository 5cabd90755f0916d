import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import type { KeyPair } from "./certificates.ts";
import { closedPort } from "./loopback.ts";
import { lacks } from "./needs.ts";

/** Guard of every test that uses `startRedis`. */
export function lacksRedis(): boolean {
  return lacks("redis-server");
}

export interface RedisOptions {
  /** More lines of its configuration, as arguments: `["--maxmemory", "1mb"]`. */
  readonly args?: readonly string[];
  /** Speaks TLS only. */
  readonly tls?: KeyPair;
}

/** A Redis of one test, on loopback, that keeps nothing. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same port, empty. */
  restart(): Promise<void>;
  /** It takes connections and bytes, and answers nothing. */
  hang(): void;
  resume(): void;
  /** One command on a connection of its own, as redis-cli takes it; answers the raw reply. */
  command(...words: readonly string[]): Promise<string>;
  remove(): Promise<void>;
}

export async function startRedis({ args = [], tls }: RedisOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-redis-"));
  const port = await closedPort();
  const listening = tls === undefined ? ["--port", String(port)] : await tlsArguments(port, folder, tls);
  const all = ["--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no", ...listening, ...args];
  let server = await start(all);
  return {
    port,
    url: `${tls === undefined ? "redis" : "rediss"}://127.0.0.1:${port}`,
    async kill() {
      await end(server);
    },
    async restart() {
      await end(server);
      server = await start(all);
    },
    hang: () => void server.kill("SIGSTOP"),
    resume: () => void server.kill("SIGCONT"),
    command: (...words) => command(port, words),
    async remove() {
      await end(server);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function tlsArguments(port: number, folder: string, { cert, key }: KeyPair): Promise<string[]> {
  const [certFile, keyFile] = [path.join(folder, "cert.pem"), path.join(folder, "key.pem")];
  await writeFile(certFile, cert);
  await writeFile(keyFile, key);
  const files = ["--tls-cert-file", certFile, "--tls-key-file", keyFile, "--tls-auth-clients", "no"];
  return ["--port", "0", "--tls-port", String(port), ...files];
}

async function start(args: readonly string[]): Promise<ChildProcess> {
  const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
  const ready = Promise.withResolvers<void>();
  let output = "";
  createInterface({ input: server.stdout }).on("line", (line) => {
    output += `${line}\n`;
    if (line.includes("Ready to accept connections")) ready.resolve();
  });
  void once(server, "exit").then(() => ready.reject(new Error(`redis-server ended:\n${output}`)));
  await ready.promise;
  return server;
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill("SIGKILL");
  await once(server, "exit");
}

async function command(port: number, words: readonly string[]): Promise<string> {
  const socket = createConnection(port, "127.0.0.1");
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  socket.write(`*${words.length}\r\n${parts.join("")}`);
  const [reply] = await once(socket, "data");
  socket.destroy();
  return String(reply);
}
