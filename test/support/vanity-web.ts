import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { connect } from "node:net";
import { createSecureContext } from "node:tls";
import type { Authority, KeyPair } from "./certificates.ts";
import { listen } from "./loopback.ts";

/** What a host answers. The body is HTML, if nothing else is said. */
export interface VanityPage {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface VanityWeb {
  /** For HTTPS_PROXY and HTTP_PROXY. */
  readonly proxy: string;
  /** Every request that arrived, such as `https://a.vanity.test/m?go-get=1`. */
  readonly asked: string[];
  /** The `Authorization` of each. */
  readonly authorization: (string | undefined)[];
  /** By URL without query. May be changed while it runs. What is not there is 404. */
  readonly pages: Map<string, VanityPage>;
  /** Hosts that nobody can connect to by `https`, by `http`, or at all. */
  readonly down: Set<string>;
}

/**
 * A web of hosts below `vanity.test` behind a forward proxy, so that module paths, which have no ports, lead here. Hosts that begin
 * with `selfsigned` have certificates nobody trusts.
 */
export async function startVanityWeb(authority: Authority, stranger: KeyPair): Promise<VanityWeb> {
  const asked: string[] = [];
  const authorization: (string | undefined)[] = [];
  const pages = new Map<string, VanityPage>();
  const down = new Set<string>();
  const answer = (url: URL, { headers }: IncomingMessage, response: ServerResponse): void => {
    asked.push(url.href);
    authorization.push(headers.authorization);
    const page = pages.get(url.origin + url.pathname) ?? { status: 404, body: "nothing here" };
    response.writeHead(page.status ?? 200, { "content-type": "text/html; charset=utf-8", ...page.headers });
    response.end(page.body);
  };
  const pair = authority.issue("DNS:*.vanity.test");
  const secure = await listen(
    createHttpsServer(
      {
        cert: pair.cert,
        key: pair.key,
        SNICallback: (name, done) =>
          done(null, createSecureContext(name.startsWith("selfsigned") ? stranger : { ...pair })),
      },
      (request: IncomingMessage, response) => {
        answer(new URL(request.url ?? "/", `https://${request.headers.host}`), request, response);
      },
    ),
    "https",
  );
  const proxy = createHttpServer((request, response) => {
    const url = new URL(request.url ?? "/");
    if (down.has(url.host) || down.has(url.origin)) return void response.destroy();
    return answer(url, request, response);
  });
  proxy.on("connect", (request, socket) => {
    const [host = "", port] = (request.url ?? "").split(":");
    if (port !== "443" || down.has(host) || down.has(`https://${host}`)) return void socket.destroy();
    const onward = connect(secure.port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    return void socket.on("error", () => onward.destroy()).on("close", () => onward.destroy());
  });
  const { port } = await listen(proxy, "http");
  return { proxy: `http://127.0.0.1:${port}`, asked, authorization, pages, down };
}

/** A page with these go-import tags in its head. */
export function tagged(...contents: readonly string[]): VanityPage {
  const tags = contents.map((content) => `<meta name="go-import" content="${content}">\n`).join("");
  return { body: `<!doctype html>\n<html><head>\n${tags}</head><body>hello</body></html>` };
}
