import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { closedPort, listen, type Loopback } from "./loopback.ts";

/** What a proxy was asked, such as `CONNECT upstream.example:443` or `GET http://upstream.example/x`. */
export interface ProxyLog {
  readonly asked: string[];
  readonly authorization: (string | undefined)[];
}

export type ForwardProxy = ProxyLog & Pick<Loopback, "port" | "connections">;

/**
 * A CONNECT proxy for which every name leads to this machine, and every port to `onwardPort` if there is one. `server` may be an
 * https server that is yet without a listener.
 */
export async function startConnectProxy(
  options: { readonly password?: string; readonly server?: Server; readonly onwardPort?: number } = {},
): Promise<ForwardProxy> {
  const log: ProxyLog = { asked: [], authorization: [] };
  const server = options.server ?? createServer();
  server.on("connect", (request, socket, head) => {
    log.asked.push(`CONNECT ${request.url}`);
    log.authorization.push(request.headers["proxy-authorization"]);
    const wanted =
      options.password === undefined ? undefined : `Basic ${Buffer.from(options.password).toString("base64")}`;
    if (wanted !== undefined && request.headers["proxy-authorization"] !== wanted) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 6\r\n\r\nsecret");
      return;
    }
    const port = options.onwardPort ?? Number(request.url?.split(":").at(-1));
    const onward = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    socket.on("error", () => onward.destroy()).on("close", () => onward.destroy());
  });
  return Object.assign(await listen(server, "http"), log);
}

/** Answers requests to `http:` URLs itself, and notes what it was asked. */
export async function startPlainProxy(answer: RequestListener): Promise<ForwardProxy> {
  const log: ProxyLog = { asked: [], authorization: [] };
  const server = createServer((request, response) => {
    log.asked.push(`${request.method} ${request.url}`);
    log.authorization.push(request.headers["proxy-authorization"]);
    answer(request, response);
  });
  return Object.assign(await listen(server, "http"), log);
}

/** RFC 1928, for which every name leads to this machine. */
export async function startSocksProxy(
  options: { readonly password?: string; readonly reply?: number } = {},
): Promise<ForwardProxy> {
  const log: ProxyLog = { asked: [], authorization: [] };
  const server = createTcpServer((socket) => {
    socks(socket, log, options).catch(() => socket.destroy());
  });
  return Object.assign(await listen(server, "socks5"), log);
}

async function socks(
  socket: Socket,
  log: ProxyLog,
  options: { readonly password?: string; readonly reply?: number },
): Promise<void> {
  const [, methodCount = 0] = await take(socket, 2);
  const methods = await take(socket, methodCount);
  const method = options.password === undefined ? 0 : 2;
  if (!methods.includes(method)) return void socket.end(Buffer.of(5, 0xff));
  socket.write(Buffer.of(5, method));
  if (method === 2) {
    const [, userLength = 0] = await take(socket, 2);
    const user = await take(socket, userLength);
    const [length = 0] = await take(socket, 1);
    const given = `${user.toString()}:${(await take(socket, length)).toString()}`;
    log.authorization.push(given);
    socket.write(Buffer.of(1, given === options.password ? 0 : 1));
  }
  const [, , , kind] = await take(socket, 4);
  const [length = 0] = kind === 3 ? await take(socket, 1) : [kind === 1 ? 4 : 16];
  const name = await take(socket, length);
  const port = (await take(socket, 2)).readUInt16BE();
  log.asked.push(`CONNECT ${kind === 3 ? name.toString() : name.join(".")}:${port}`);
  const reply = options.reply ?? 0;
  const onward = connect(port, "127.0.0.1", () => {
    socket.write(Buffer.concat([Buffer.of(5, reply, 0, 3, 4), Buffer.from("here"), Buffer.of(0, 0)]));
    if (reply === 0) onward.pipe(socket).pipe(onward);
  });
  onward.on("error", () => socket.destroy());
  socket.on("close", () => onward.destroy());
}

async function take(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes: unknown = count === 0 ? Buffer.alloc(0) : socket.read(count);
    if (Buffer.isBuffer(bytes)) return bytes;
    await once(socket, "readable");
  }
}

/** Debian's tinyproxy with these further lines of configuration: guard its users with `lacks("tinyproxy", ["-v"])`. */
export async function startTinyproxy(...lines: readonly string[]): Promise<{ readonly port: number }> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tinyproxy-"));
  const port = await closedPort();
  const config = join(folder, "tinyproxy.conf");
  writeFileSync(config, [`Port ${port}`, "Listen 127.0.0.1", "Timeout 60", "MaxClients 50", ...lines, ""].join("\n"));
  const child: ChildProcess = spawn("tinyproxy", ["-d", "-c", config], { stdio: "ignore" });
  onTestFinished(async () => {
    const ended = once(child, "exit");
    if (child.exitCode === null && child.kill()) await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`tinyproxy ended with ${child.exitCode}`);
    await delay(10);
  }
  return { port };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket
      .on("connect", () => resolve(true))
      .on("error", () => resolve(false))
      .on("connect", () => socket.destroy());
  });
}
