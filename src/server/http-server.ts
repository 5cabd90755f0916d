import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
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
  readonly address: AddressInfo;
  /** Requests that come from now on are answered by these. Those under way are not disturbed. */
  use(handlers: Handlers): void;
  /** Stops accepting, lets running answers end for at most `limitMs`, then cuts the rest. */
  stop(limitMs: number): Promise<void>;
}

/** Listens. Rejects with Node's own error (`EADDRINUSE`, `EACCES`, …). */
export async function startHttpServer(
  options: HttpServerOptions,
  listen: { host: string; port: number },
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

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no TCP port");
  return {
    address,
    use: (handlers) => void (current = handlers),
    stop: (limitMs) => {
      stopping = true;
      return stopServer(server, limitMs);
    },
  };
}

async function stopServer(server: Server, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  // Connections that were answering when we stopped become idle one by one.
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  const limit = setTimeout(() => server.closeAllConnections(), limitMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(limit);
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
