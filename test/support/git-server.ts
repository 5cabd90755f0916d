import { spawn } from "node:child_process";
import {
  createServer as createHttpServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Socket } from "node:net";
import { fixtureGitEnv } from "./git-repos.ts";
import { portOf } from "./loopback.ts";

/** One request as it arrived. */
export interface GitRequest {
  readonly method: string;
  /** With query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** `refs` asks what there is, `pack` for objects, `page` is anything else, such as `?go-get=1`. */
  readonly kind: "refs" | "pack" | "page";
}

export type GitRequestMatcher = string | RegExp | ((request: GitRequest) => boolean);

/** What goes wrong with a request. The rest is as git says. */
export type GitFault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** Reads the request and never answers. */
  | { readonly kind: "hang" }
  /** Sends so many bytes of the body, then nothing, for ever. */
  | { readonly kind: "stall"; readonly afterBytes: number }
  /** Sends so many bytes of the body, then destroys the connection. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** The good answer once `until` has resolved. */
  | { readonly kind: "delay"; readonly until: Promise<unknown> };

export interface GitServerOptions {
  /** Folder of the repositories: `<root>/team/a.git` is served as `/team/a.git`. */
  readonly root: string;
  /** PEM. Serves https instead. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Whose requests are answered; everything else is 401. May be changed at any time through `credentials`. */
  readonly credentials?: readonly BasicCredentials[];
  /** HTML for a request that is none of git's, such as `/team/a?go-get=1`; 404 where it is undefined. Not behind `credentials`. */
  readonly page?: (url: URL) => string | undefined;
  /** Anything that is to be answered otherwise: true when it has been. */
  readonly handle?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface BasicCredentials {
  readonly username: string;
  readonly password: string;
}

/** Real `git http-backend` on loopback. */
export interface GitServer {
  /** Without trailing slash, such as `http://127.0.0.1:40000`. */
  readonly url: string;
  /** Host and port, as in a module path. */
  readonly host: string;
  readonly port: number;
  /** All requests in order of arrival. Empty it with `requests.length = 0`. */
  readonly requests: GitRequest[];
  /** Change it to rotate a password; empty lets everybody in. */
  credentials: readonly BasicCredentials[];
  requestsFor(matcher: GitRequestMatcher): GitRequest[];
  /** Resolves when `count` (default 1) matching requests have arrived in total: for waiting without sleeping. */
  arrived(matcher: GitRequestMatcher, count?: number): Promise<void>;
  /** Matching requests (a string is contained in the URL) fail so, `times` times or until cleared. The latest fault wins. */
  setFault(matcher: GitRequestMatcher, fault: GitFault & { readonly times?: number }): void;
  clearFaults(): void;
  /** Stops listening, cuts every connection, ends every git. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * @example
 * const server = await startGitServer({ root });
 * server.setFault((request) => request.kind === "pack", { kind: "stall", afterBytes: 1000, times: 1 });
 */
export async function startGitServer(options: GitServerOptions): Promise<GitServer> {
  const requests: GitRequest[] = [];
  const faults: { matcher: GitRequestMatcher; fault: GitFault; left: number }[] = [];
  const waiters = new Set<() => void>();
  const sockets = new Set<Socket>();
  let credentials = options.credentials ?? [];

  const takeFault = (request: GitRequest): GitFault | undefined => {
    const found = faults.findLast(({ matcher, left }) => left > 0 && matches(matcher, request));
    if (found !== undefined) found.left -= 1;
    return found?.fault;
  };

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const recorded = record(request);
    requests.push(recorded);
    for (const wake of waiters) wake();
    const fault = takeFault(recorded);
    if (fault?.kind === "status") {
      request.resume();
      response.writeHead(fault.status, { "content-type": "text/plain", ...fault.headers });
      response.end(fault.body ?? `fault ${fault.status}`);
    } else if (fault?.kind === "delay") {
      void fault.until.then(() => answer(recorded, request, response, undefined));
    } else if (fault?.kind !== "hang") {
      answer(recorded, request, response, fault);
    }
  };

  const answer = (
    recorded: GitRequest,
    request: IncomingMessage,
    response: ServerResponse,
    fault: { readonly kind: "stall" | "cut"; readonly afterBytes: number } | undefined,
  ): void => {
    if (options.handle?.(request, response) === true) return;
    if (recorded.kind === "page") {
      const html = options.page?.(new URL(recorded.url, "http://page"));
      response.writeHead(html === undefined ? 404 : 200, { "content-type": "text/html" }).end(html ?? "not found");
    } else if (credentials.length > 0 && !isAuthorized(request, credentials)) {
      request.resume();
      response.writeHead(401, { "www-authenticate": 'Basic realm="fixture"' }).end("unauthorized\n");
    } else {
      runBackend(options.root, request, response, limitOf(response, fault));
    }
  };

  const server = options.tls === undefined ? createHttpServer(listener) : createHttpsServer(options.tls, listener);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const port = portOf(server);
  const host = `127.0.0.1:${port}`;
  let closed: Promise<void> | undefined;

  return {
    url: `${options.tls === undefined ? "http" : "https"}://${host}`,
    host,
    port,
    requests,
    get credentials() {
      return credentials;
    },
    set credentials(next) {
      credentials = next;
    },
    requestsFor: (matcher) => requests.filter((request) => matches(matcher, request)),
    arrived: (matcher, count = 1) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (requests.filter((request) => matches(matcher, request)).length < count) return;
          waiters.delete(look);
          resolve();
        };
        waiters.add(look);
        look();
      }),
    setFault: (matcher, { times = Number.POSITIVE_INFINITY, ...fault }) =>
      void faults.push({ matcher, fault, left: times }),
    clearFaults: () => void (faults.length = 0),
    close: () =>
      (closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      })),
  };
}

function record(request: IncomingMessage): GitRequest {
  const { method = "", url = "", headers } = request;
  const kind = /\/info\/refs\?service=git-/.test(url) ? "refs" : url.endsWith("/git-upload-pack") ? "pack" : "page";
  return { method, url, headers, kind: kind === "page" && isDumb(url) ? "refs" : kind };
}

/** What git asks of a server that it takes for a plain file server. */
function isDumb(url: string): boolean {
  return /\.git\/(HEAD|info\/refs|objects\/.*)$/.test(url);
}

function matches(matcher: GitRequestMatcher, request: GitRequest): boolean {
  if (typeof matcher === "function") return matcher(request);
  return typeof matcher === "string" ? request.url.includes(matcher) : matcher.test(request.url);
}

function isAuthorized({ headers }: IncomingMessage, credentials: readonly BasicCredentials[]): boolean {
  const [scheme, value = ""] = (headers.authorization ?? "").split(" ");
  const given = Buffer.from(value, "base64").toString();
  return (
    scheme?.toLowerCase() === "basic" &&
    credentials.some(({ username, password }) => given === `${username}:${password}`)
  );
}

/** How the body is passed on: whole, or so far and then nothing, or a cut. */
function limitOf(
  response: ServerResponse,
  fault: { readonly kind: "stall" | "cut"; readonly afterBytes: number } | undefined,
): { write: (chunk: Buffer) => void; end: () => void } {
  let left = fault?.afterBytes ?? Number.POSITIVE_INFINITY;
  return {
    write(chunk) {
      if (left > 0) response.write(chunk.subarray(0, Math.min(left, chunk.length)));
      left -= chunk.length;
      if (left <= 0 && fault?.kind === "cut") response.socket?.end();
    },
    end() {
      if (fault === undefined) response.end();
      else if (fault.kind === "cut") response.destroy();
    },
  };
}

/** CGI (RFC 3875) to git's own server. */
function runBackend(
  root: string,
  request: IncomingMessage,
  response: ServerResponse,
  body: { write: (chunk: Buffer) => void; end: () => void },
): void {
  const [path = "", query = ""] = (request.url ?? "").split("?");
  const header = (name: string): string => String(request.headers[name] ?? "");
  const child = spawn("git", ["http-backend"], {
    env: {
      ...fixtureGitEnv(),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      REQUEST_METHOD: request.method ?? "GET",
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      CONTENT_TYPE: header("content-type"),
      HTTP_CONTENT_ENCODING: header("content-encoding"),
      GIT_PROTOCOL: header("git-protocol"),
      ...(request.headers["content-length"] === undefined ? {} : { CONTENT_LENGTH: header("content-length") }),
      REMOTE_ADDR: "127.0.0.1",
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  // Killed with the connection: nothing of a test that has ended goes on running.
  response.on("close", () => child.kill("SIGKILL"));
  child.on("error", () => response.destroy());
  request.pipe(child.stdin.on("error", () => undefined));
  let head: Buffer | undefined = Buffer.alloc(0);
  child.stdout.on("data", (chunk: Buffer) => {
    if (head === undefined) return body.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    const rest = head.subarray(end + 4);
    writeHead(response, head.subarray(0, end).toString());
    head = undefined;
    if (rest.length > 0) body.write(rest);
  });
  child.stdout.on("end", () => body.end());
}

function writeHead(response: ServerResponse, head: string): void {
  const fields = head.split("\r\n").map((line) => /^([^:]+): *(.*)$/.exec(line) ?? []);
  for (const [, name = "", value = ""] of fields) if (!/^(status)?$/i.test(name)) response.setHeader(name, value);
  const status = fields.find(([, name = ""]) => name.toLowerCase() === "status")?.[2] ?? "200";
  response.writeHead(Number.parseInt(status, 10));
  response.flushHeaders();
}
