import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import type { KeyPair } from "./certificates.ts";

/** A server of one test on 127.0.0.1, closed with all its connections when the test ends. */
export interface Loopback {
  readonly port: number;
  /** Accepted so far. */
  readonly connections: number;
  url(path?: string, host?: string): URL;
}

export function serveHttp(listener: RequestListener): Promise<Loopback> {
  return listen(createHttpServer(listener), "http");
}

export function serveHttps(pair: KeyPair, listener: RequestListener): Promise<Loopback> {
  return listen(createHttpsServer({ cert: pair.cert, key: pair.key }, listener), "https");
}

/** For what an HTTP server would not do: `answer` is called with the head of every request. */
export function serveRaw(answer: (socket: Socket, head: string) => void): Promise<Loopback> {
  const server = createTcpServer((socket) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        answer(socket, head);
      }
    });
  });
  return listen(server, "http");
}

/** Takes any server that does not listen yet. */
export async function listen(server: Server, scheme: string): Promise<Loopback> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket) => {
    connections += 1;
    sockets.add(socket);
    // Tests cut connections on purpose.
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });
  const port = portOf(server);
  return {
    port,
    get connections() {
      return connections;
    },
    url: (path = "/", host = "127.0.0.1") => new URL(`${scheme}://${host}:${port}${path}`),
  };
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const port = portOf(server);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

/** Of a server that listens. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen on a port");
  return address.port;
}
