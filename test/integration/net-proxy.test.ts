import { createServer as createHttpsServer } from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import { describe, expect, test } from "vitest";
import { createEgress } from "../../src/net/egress.ts";
import type { HttpClient } from "../../src/net/http.ts";
import { createAuthority } from "../support/certificates.ts";
import { startConnectProxy, startPlainProxy, startSocksProxy, startTinyproxy } from "../support/forward-proxy.ts";
import { failureOf, get, getText, testClient } from "../support/http-client.ts";
import { closedPort, serveHttp, serveHttps, type Loopback } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";

/** Names are resolved by proxies; a client that resolves one itself has not used its proxy. */
const noDns = {
  resolve(hostname: string): Promise<never> {
    return Promise.reject(new Error(`${hostname} was resolved here`));
  },
};

describe("http through a proxy that forwards", () => {
  test("carries the whole URL, and the credentials to the proxy alone", async () => {
    const arrived: IncomingHttpHeaders[] = [];
    const proxy = await startPlainProxy((request, response) => {
      arrived.push(request.headers);
      response.end("by proxy");
    });
    const egress = createEgress({ HTTP_PROXY: `http://user:p%40ss@127.0.0.1:${proxy.port}` });
    const client = testClient({ egress, dns: noDns });
    expect(await getText(client, new URL("http://upstream.example/a/@v/list?x=1"))).toBe("by proxy");
    expect(await getText(client, new URL("http://other.example:8080/b"))).toBe("by proxy");
    expect(proxy.asked).toEqual(["GET http://upstream.example/a/@v/list?x=1", "GET http://other.example:8080/b"]);
    expect(proxy.authorization).toEqual(Array(2).fill(`Basic ${Buffer.from("user:p@ss").toString("base64")}`));
    expect(arrived.map(({ host }) => host)).toEqual(["upstream.example", "other.example:8080"]);
  });

  test("uses its connections for all servers", async () => {
    const proxy = await startPlainProxy((_request, response) => response.end("x"));
    const egress = createEgress({ HTTP_PROXY: `127.0.0.1:${proxy.port}` });
    const client = testClient({ egress, dns: noDns });
    for (let index = 0; index < 10; index++) await getText(client, new URL(`http://host${index}.example/`));
    expect(proxy.asked).toHaveLength(10);
    expect(proxy.connections).toBeLessThanOrEqual(2);
  });

  test("passes on what the proxy answers, as it could be the server's answer", async () => {
    const proxy = await startPlainProxy((_request, response) => response.writeHead(407).end());
    const client = testClient({ egress: createEgress({ HTTP_PROXY: `127.0.0.1:${proxy.port}` }), dns: noDns });
    expect((await get(client, new URL("http://upstream.example/"))).status).toBe(407);
  });

  test("NO_PROXY and loopback go straight", async () => {
    const proxy = await startPlainProxy((_request, response) => response.end("by proxy"));
    const server = await serveHttp((_request, response) => response.end("straight"));
    const egress = createEgress({ HTTP_PROXY: `127.0.0.1:${proxy.port}`, NO_PROXY: ".corp.example" });
    const client = testClient({ egress, dns: { resolve: async () => [{ address: "127.0.0.1", family: 4 }] } });
    expect(await getText(client, server.url())).toBe("straight");
    expect(await getText(client, server.url("/", "localhost"))).toBe("straight");
    expect(await getText(client, server.url("/", "git.corp.example"))).toBe("straight");
    expect(await getText(client, server.url("/", "corp.example"))).toBe("by proxy");
  });

  test("a redirect chooses its own way", async () => {
    const server = await serveHttp((_request, response) => response.end("straight"));
    const proxy = await startPlainProxy((_request, response) =>
      response.writeHead(302, { location: server.url("/", "inside.corp.example").href }).end(),
    );
    const egress = createEgress({ HTTP_PROXY: `127.0.0.1:${proxy.port}`, NO_PROXY: "corp.example" });
    const dns = { resolve: async () => [{ address: "127.0.0.1", family: 4 }] };
    const client = testClient({ egress, dns });
    // An upstream beyond the proxy is a public one, and may not lead into this network.
    expect((await failureOf(get(client, new URL("http://upstream.example/")))).message).toContain(
      "within this network",
    );
  });
});

describe.skipIf(lacks("openssl", ["version"]))("https through a proxy", () => {
  const authority = createAuthority();
  const pair = authority.issue("DNS:upstream.example", "DNS:localhost", "IP:127.0.0.1");
  const hello = (): Promise<Loopback> =>
    serveHttps(pair, (request, response) => response.end(`hello ${request.headers.host}`));

  function through(proxy: string): HttpClient {
    return testClient({ ca: [authority.cert], egress: createEgress({ HTTPS_PROXY: proxy }), dns: noDns });
  }

  test("is tunnelled with CONNECT, and the proxy sees the name alone", async () => {
    const proxy = await startConnectProxy();
    const server = await hello();
    const client = through(`http://127.0.0.1:${proxy.port}`);
    for (let index = 0; index < 3; index++) {
      expect(await getText(client, server.url("/secret/path", "upstream.example"))).toBe(
        `hello upstream.example:${server.port}`,
      );
    }
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT upstream.example:${server.port}`]));
  });

  test("keeps its tunnel for the next request, also for many at once", async () => {
    const proxy = await startConnectProxy();
    const server = await hello();
    const client = through(`http://127.0.0.1:${proxy.port}`);
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 8 }, () => getText(client, server.url("/", "upstream.example"))));
    }
    expect(proxy.asked.length).toBeLessThanOrEqual(16);
  });

  test("gives the proxy its credentials, and the server none", async () => {
    const proxy = await startConnectProxy({ password: "user:p@ss" });
    const arrived: IncomingHttpHeaders[] = [];
    const server = await serveHttps(pair, (request, response) => {
      arrived.push(request.headers);
      response.end("hello");
    });
    expect(
      await getText(through(`http://user:p%40ss@127.0.0.1:${proxy.port}`), server.url("/", "upstream.example")),
    ).toBe("hello");
    expect(arrived[0]).not.toHaveProperty("proxy-authorization");
  });

  test("wrong credentials are said, without showing them", async () => {
    const proxy = await startConnectProxy({ password: "user:right" });
    const server = await hello();
    const error = await failureOf(
      get(through(`http://user:wrong@127.0.0.1:${proxy.port}`), server.url("/", "upstream.example")),
    );
    expect(error.code).toBe("upstream_failed");
    expect(error.message).toContain(`upstream.example: the proxy 127.0.0.1:${proxy.port} answered 407`);
    expect(error.message).not.toMatch(/wrong@|secret/);
  });

  test("a target that the proxy cannot reach", async () => {
    const proxy = await startConnectProxy();
    const port = await closedPort();
    const error = await failureOf(
      get(through(`http://127.0.0.1:${proxy.port}`), new URL(`https://upstream.example:${port}/`)),
    );
    expect(error).toMatchObject({ code: "upstream_failed", message: expect.stringContaining("answered 502") });
  });

  test("a proxy that is not there is named", async () => {
    const port = await closedPort();
    const error = await failureOf(
      get(through(`http://user:secret@127.0.0.1:${port}`), new URL("https://upstream.example/")),
    );
    expect(error.code).toBe("upstream_failed");
    expect(error.message).toContain(`upstream.example through the proxy 127.0.0.1:${port}: refused the connection`);
    expect(error.message).not.toContain("secret");
  });

  test("a proxy that answers in no known language", async () => {
    const server = await serveHttps(pair, (_request, response) => response.end());
    const error = await failureOf(
      get(through(`http://127.0.0.1:${server.port}`), new URL("https://upstream.example/")),
    );
    expect(["upstream_failed", "upstream_invalid"]).toContain(error.code);
  });

  test("the certificate is checked for the server's name, not the proxy's", async () => {
    const proxy = await startConnectProxy();
    const server = await hello();
    const error = await failureOf(get(through(`http://127.0.0.1:${proxy.port}`), server.url("/", "other.example")));
    expect(error.message).toContain("its TLS certificate is for another host name");
  });

  test("a proxy that speaks TLS itself", async () => {
    const proxy = await startConnectProxy({ server: createHttpsServer({ cert: pair.cert, key: pair.key }) });
    const server = await hello();
    const client = testClient({
      ca: [authority.cert],
      egress: createEgress({ HTTPS_PROXY: `https://localhost:${proxy.port}` }),
    });
    expect(await getText(client, server.url("/", "upstream.example"))).toMatch(/^hello/);
    expect(proxy.asked).toEqual([`CONNECT upstream.example:${server.port}`]);
  });

  describe("that speaks SOCKS5", () => {
    test.each([
      ["a name", "upstream.example", "upstream.example"],
      ["an IPv6 address", "[2001:db8::7]", "32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.7"],
      ["an IPv4 address", "192.0.2.7", "192.0.2.7"],
    ])("%s is resolved there", async (_kind, host, asked) => {
      const proxy = await startSocksProxy();
      const server = await serveHttps(
        authority.issue("DNS:upstream.example", "IP:2001:db8::7", "IP:192.0.2.7"),
        (_request, response) => response.end("hello"),
      );
      expect(await getText(through(`socks5://127.0.0.1:${proxy.port}`), server.url("/", host))).toBe("hello");
      expect(proxy.asked).toEqual([`CONNECT ${asked}:${server.port}`]);
    });

    test("with username and password", async () => {
      const proxy = await startSocksProxy({ password: "user:p@ss" });
      const server = await hello();
      expect(
        await getText(through(`socks5h://user:p%40ss@127.0.0.1:${proxy.port}`), server.url("/", "upstream.example")),
      ).toMatch(/^hello/);
      expect(proxy.authorization).toEqual(["user:p@ss"]);
    });

    test.each([
      ["wrong credentials", { password: "user:right" }, "user:wrong@", "that the credentials are wrong"],
      ["no credentials where some are wanted", { password: "user:right" }, "", "that it wants other credentials"],
      ["a rule against it", { reply: 2 }, "", "that its rules do not allow this"],
      ["an unknown reason", { reply: 99 }, "", "SOCKS5 code 99"],
    ])("%s", async (_name, options, userinfo, words) => {
      const proxy = await startSocksProxy(options);
      const server = await hello();
      const error = await failureOf(
        get(through(`socks5://${userinfo}127.0.0.1:${proxy.port}`), server.url("/", "upstream.example")),
      );
      expect(error).toMatchObject({ code: "upstream_failed", message: expect.stringContaining(words) });
    });

    test("a plain http server", async () => {
      const proxy = await startSocksProxy();
      const server = await serveHttp((_request, response) => response.end("plain"));
      const client = testClient({
        egress: createEgress({ HTTP_PROXY: `socks5://127.0.0.1:${proxy.port}` }),
        dns: noDns,
      });
      expect(await getText(client, server.url("/", "upstream.example"))).toBe("plain");
    });

    test("something else on its port", async () => {
      const server = await serveHttp((_request, response) => response.end("plain"));
      const error = await failureOf(
        get(through(`socks5://127.0.0.1:${server.port}`), new URL("https://upstream.example/")),
      );
      expect(error.code).toBe("upstream_failed");
    });
  });

  describe.skipIf(lacks("tinyproxy", ["-v"]))("of the shelf (tinyproxy)", () => {
    // Our own rule lets loopback go straight, so these say which proxy to take themselves.
    test("https and http", async () => {
      const proxy = await startTinyproxy();
      const secure = await hello();
      const plain = await serveHttp((request, response) => response.end(`${request.url} via ${request.headers.via}`));
      const client = testClient({ ca: [authority.cert], egress: () => new URL(`http://127.0.0.1:${proxy.port}`) });
      expect(await getText(client, secure.url())).toBe(`hello 127.0.0.1:${secure.port}`);
      // It takes the Via of the request and adds itself: what notices a loop must read all of it.
      expect(await getText(client, plain.url("/a/@v/list"))).toMatch(
        /^\/a\/@v\/list via 1\.1 sluice-test, 1\.1 .*tinyproxy/i,
      );
    });

    test("credentials", async () => {
      const proxy = await startTinyproxy("BasicAuth user right");
      const secure = await hello();
      const as = (password: string): HttpClient =>
        testClient({ ca: [authority.cert], egress: () => new URL(`http://user:${password}@127.0.0.1:${proxy.port}`) });
      expect(await getText(as("right"), secure.url())).toMatch(/^hello/);
      expect((await failureOf(get(as("wrong"), secure.url()))).message).toMatch(
        /the proxy 127\.0\.0\.1:\d+ answered 40[17]/,
      );
    });

    test("a port that it does not allow", async () => {
      const proxy = await startTinyproxy("ConnectPort 443");
      const secure = await hello();
      const client = testClient({ ca: [authority.cert], egress: () => new URL(`http://127.0.0.1:${proxy.port}`) });
      expect((await failureOf(get(client, secure.url()))).message).toContain("answered 403");
    });

    test("some megabytes arrive byte for byte", async () => {
      const content = Buffer.alloc(5_000_000, "zip ");
      const proxy = await startTinyproxy();
      const secure = await serveHttps(pair, (_request, response) => response.end(content));
      const client = testClient({ ca: [authority.cert], egress: () => new URL(`http://127.0.0.1:${proxy.port}`) });
      expect(await getText(client, secure.url(), { maxBytes: 5_000_000 })).toBe(content.toString());
    });
  });
});
