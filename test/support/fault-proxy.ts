import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { portOf } from "./loopback.ts";

/** What is wrong with a link. Bytes are counted for each connection and towards the one who opened it. */
export type LinkFault =
  /** Every piece comes so much later, in both directions. */
  | { readonly kind: "latency"; readonly ms: number }
  | { readonly kind: "bandwidth"; readonly bytesPerSecond: number }
  /** Connections are taken, and nothing passes. What was held back goes on once the fault is over, as after lost packets. */
  | { readonly kind: "blackhole" }
  /** Nobody listens, and the connections there are end. */
  | { readonly kind: "refuse" }
  /** The connections there are, and new ones as soon as they are used, end with a reset. */
  | { readonly kind: "reset" }
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** One bit is another one, once in so many bytes. */
  | { readonly kind: "flip"; readonly everyBytes: number };

/** A link between two parts, over TCP on loopback, that can be hurt while it is in use. */
export interface FaultProxy {
  readonly port: number;
  /** Connections that were taken so far. */
  readonly connections: number;
  /** From now on, also for connections there are; `undefined` is a good link. Resolves once it counts. */
  setFault(fault: LinkFault | undefined): Promise<void>;
  close(): Promise<void>;
}

/** A link to this port of 127.0.0.1. */
export async function startFaultProxy(target: number): Promise<FaultProxy> {
  const link = new Link(target);
  await link.listen();
  return link;
}

class Link implements FaultProxy {
  port = 0;
  connections = 0;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #fault: LinkFault | undefined;
  #changed = Promise.withResolvers<void>();

  constructor(target: number) {
    this.#target = target;
  }

  async listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#take(client));
    server.listen(this.port, "127.0.0.1");
    await once(server, "listening");
    this.port = portOf(server);
    this.#server = server;
  }

  async setFault(fault: LinkFault | undefined): Promise<void> {
    this.#fault = fault;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    if (fault?.kind === "refuse") return this.#hangUp();
    if (fault?.kind === "reset") for (const socket of this.#sockets) socket.resetAndDestroy();
    if (this.#server === undefined) await this.listen();
  }

  async close(): Promise<void> {
    this.#fault = undefined;
    this.#changed.resolve();
    await this.#hangUp();
  }

  async #hangUp(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    if (server === undefined) return;
    server.close();
    await once(server, "close");
  }

  #take(client: Socket): void {
    this.connections += 1;
    const server = createConnection({ host: "127.0.0.1", port: this.#target, allowHalfOpen: true });
    const pair = [client, server];
    for (const socket of pair) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", (hadError) => {
        this.#sockets.delete(socket);
        // An end that breaks breaks the other; one that ended well is passed on by the pumps.
        if (hadError) for (const other of pair) other.destroy();
      });
    }
    void this.#pump(client, server, { isAnswer: false });
    void this.#pump(server, client, { isAnswer: true });
  }

  async #pump(from: Socket, to: Socket, { isAnswer }: { readonly isAnswer: boolean }): Promise<void> {
    let passed = 0;
    try {
      // Else the socket would be gone for the other direction, too, as soon as this one ends.
      for await (const data of from.iterator({ destroyOnReturn: false })) {
        const chunk: Buffer = data;
        const rest = await this.#pass(chunk, isAnswer ? passed : undefined, to);
        passed += chunk.length;
        if (rest === "end") break;
        if (!to.write(rest)) await drained(to);
        if (to.destroyed) break;
      }
      to.end();
      if (isAnswer) from.destroySoon();
    } catch {
      for (const socket of [from, to]) {
        if (this.#fault?.kind === "reset") socket.resetAndDestroy();
        else socket.destroy();
      }
    }
  }

  /** What of the chunk goes on. `passed` are the bytes of the answer before it. */
  async #pass(chunk: Buffer, passed: number | undefined, to: Socket): Promise<Buffer | "end"> {
    while (this.#fault?.kind === "blackhole") await this.#changed.promise;
    const fault = this.#fault;
    if (fault === undefined) return chunk;
    switch (fault.kind) {
      case "latency":
        await delay(fault.ms);
        return chunk;
      case "bandwidth":
        await delay((chunk.length / fault.bytesPerSecond) * 1000);
        return chunk;
      case "cut": {
        if (passed === undefined || passed + chunk.length <= fault.afterBytes) return chunk;
        to.write(chunk.subarray(0, Math.max(0, fault.afterBytes - passed)));
        return "end";
      }
      case "flip":
        return passed === undefined ? chunk : flipped(chunk, passed, fault.everyBytes);
      case "reset":
      case "refuse":
        break;
    }
    throw new Error(fault.kind);
  }
}

/** Or closed. Takes its listeners along: a connection waits many times. */
async function drained(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("drain", resolve).on("close", resolve);
  if (!socket.destroyed) await promise;
  socket.off("drain", resolve).off("close", resolve);
}

function flipped(chunk: Buffer, passed: number, everyBytes: number): Buffer {
  const wrong = Buffer.from(chunk);
  for (let at = everyBytes - 1 - (passed % everyBytes); at < wrong.length; at += everyBytes) {
    wrong[at] = (wrong[at] ?? 0) ^ 0x10;
  }
  return wrong;
}
