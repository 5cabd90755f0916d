import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import { errorTable } from "../core/errors.ts";
import type { ClientGate } from "./client-gate.ts";
import type { HotAnswers } from "./hot-answers.ts";
import type { RequestHandler } from "./exchange.ts";
import { isSumdbUrl } from "./request-path.ts";

/** What answers requests. Others can take their place while the server runs. */
export interface Handlers {
  readonly operator: RequestHandler;
  readonly protocol: RequestHandler;
  readonly sumdb: RequestHandler;
  readonly hot: HotAnswers;
  /** Without one nobody is refused for who it is. */
  readonly gate: ClientGate | undefined;
  /** `""` or `/go`: taken off before the operator's routes are looked up, which are served without it as well. */
  readonly basePath: string;
}

export interface HttpServerOptions {
  readonly handlers: Handlers;
  readonly maxHeaderBytes: number;
  readonly headerTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
}

export interface RunningServer {
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Requests that come from now on are answered by these. Those under way are not disturbed. */
  use(handlers: Handlers): void;
  /**
   * Stops accepting, lets running answers end for at most `limitMs`, then cuts the rest. Idle connections may still send a request
   * for `lingerMs` (default 0) before they are closed: one that is on its way would be lost.
   */
  stop(limitMs: number, lingerMs?: number): Promise<void>;
}

/** Listens. Rejects with Node's own error (`EADDRINUSE`, `EACCES`, …). */
export async function startHttpServer(
  options: HttpServerOptions,
  listen: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<RunningServer> {
  let current = options.handlers;
  let stopping = false;

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const { hot, gate, protocol, sumdb, operator, basePath } = current;
    if (stopping) response.setHeader("connection", "close");
    if (gate?.refuses(request, response) === true) return;
    if (!stopping && hot.tryAnswer(request, response)) return;
    const url = request.url ?? "/";
    // First, as the version of a lookup follows an @, too.
    if (isSumdbUrl(url, basePath)) {
      void sumdb(request, response);
      return;
    }
    if (url.includes("/@") && !url.startsWith(`${basePath}/-/`)) {
      void protocol(request, response);
      return;
    }
    if (basePath !== "" && (url === basePath || url.startsWith(`${basePath}/`)))
      request.url = url.slice(basePath.length) || "/";
    void operator(request, response);
  };

  const server = createServer(
    {
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headerTimeoutMs,
      // The only bodies are those of the operator's API, and small.
      requestTimeout: options.headerTimeoutMs * 2,
      keepAliveTimeout: options.keepAliveTimeoutMs,
      connectionsCheckingInterval: 1000,
      optimizeEmptyRequests: true,
      noDelay: true,
    },
    listener,
  );
  server.on("clientError", answerParserError);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    use: (handlers) => void (current = handlers),
    stop: (limitMs, lingerMs = 0) => {
      stopping = true;
      return stopServer(server, { sockets, limitMs, lingerMs });
    },
  };
}

async function stopServer(
  server: Server,
  {
    sockets,
    limitMs,
    lingerMs,
  }: { readonly sockets: ReadonlySet<Socket>; readonly limitMs: number; readonly lingerMs: number },
): Promise<void> {
  // Node takes a connection for idle once its answer was handed over, though a slow client may still have to get much of it.
  // HTTP's own close() would cut that off, so it is TCP's here, and idle ones are closed when nothing waits to be sent.
  const closed = new Promise<void>((resolve) => {
    NetServer.prototype.close.call(server, () => resolve());
  });
  const lingersUntil = performance.now() + lingerMs;
  const sweepIdle = (): void => {
    if (performance.now() < lingersUntil) return;
    for (const socket of sockets) if (socket.writableLength > 0) return;
    server.closeIdleConnections();
  };
  sweepIdle();
  // Connections that were answering when we stopped become idle one by one.
  const sweep = setInterval(sweepIdle, 100);
  const limit = setTimeout(() => server.closeAllConnections(), limitMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(limit);
  // For its timers.
  server.close();
}

/** What Node's parser refuses never reaches a handler; it still gets a clear answer. */
function answerParserError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [code, message] = Object.entries(parserErrors).find(([name]) => name === error.code)?.[1] ?? notHttp;
  const { status } = errorTable[code];
  const body = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

const parserErrors = {
  HPE_HEADER_OVERFLOW: ["headers_too_large", "the request's URL and headers are larger than this server reads"],
  ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", "the request did not arrive in time"],
} as const;
const notHttp = ["bad_request", "this is not a valid HTTP/1.1 request"] as const;
