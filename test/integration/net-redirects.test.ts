import type { LookupAddress } from "node:dns";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import type { DnsCache } from "../../src/net/dns-cache.ts";
import type { HttpClient, HttpResponse } from "../../src/net/http.ts";
import { createAuthority } from "../support/certificates.ts";
import { failureOf, get, getText, readAll, testClient } from "../support/http-client.ts";
import { serveHttp, serveHttps, type Loopback } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";

/** Answers `/to?<location>` with a redirect there, and everything else with its own path. */
function redirecting(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? "";
  if (!url.startsWith("/to?")) return void response.end(url);
  response.writeHead(302, { location: decodeURIComponent(url.slice(4)) }).end("moved");
}

function to(server: Loopback, location: string): URL {
  return server.url(`/to?${encodeURIComponent(location)}`);
}

describe("a redirect", () => {
  test.each([301, 302, 303, 307, 308])("with status %s is followed", async (status) => {
    const server = await serveHttp((request, response) => {
      if (request.url === "/there") response.end(`${request.method} ${request.url}`);
      else response.writeHead(status, { location: "/there" }).end();
    });
    const response = await get(testClient(), server.url("/here"));
    expect([response.status, response.url.href]).toEqual([200, server.url("/there").href]);
    expect((await readAll(response.body)).toString()).toBe("GET /there");
  });

  test.each([300, 304, 305, 306, 399])("status %s is an answer", async (status) => {
    const server = await serveHttp((_request, response) => response.writeHead(status, { location: "/there" }).end());
    expect((await get(testClient(), server.url())).status).toBe(status);
  });

  test("without Location is an answer", async () => {
    const server = await serveHttp((_request, response) => response.writeHead(302).end("found nothing"));
    expect((await get(testClient(), server.url())).status).toBe(302);
  });

  test.each([
    ["sub/file", "/a/sub/file"],
    ["../x?y=1", "/x?y=1"],
    ["//127.0.0.1:PORT/z", "/z"],
    ["/!up/@v/v1.0.0+incompatible.zip#part", "/!up/@v/v1.0.0+incompatible.zip"],
  ])("to %s leads to %s", async (location, path) => {
    const server: Loopback = await serveHttp((request, response) => {
      if (request.url !== "/a/b") response.end(request.url);
      else response.writeHead(302, { location: location.replace("PORT", String(server.port)) }).end();
    });
    expect(await getText(testClient(), server.url("/a/b"))).toBe(path);
  });

  test("is followed ten times and not more", async () => {
    let asked = 0;
    const server = await serveHttp((request, response) => {
      asked += 1;
      const left = Number(request.url?.slice(1));
      if (left === 0) response.end("arrived");
      else response.writeHead(302, { location: `/${left - 1}` }).end();
    });
    const client = testClient();
    expect(await getText(client, server.url("/10"))).toBe("arrived");
    asked = 0;
    const error = await failureOf(get(client, server.url("/11")));
    expect(error).toMatchObject({ code: "upstream_invalid", message: expect.stringContaining("more than 10 times") });
    expect(asked).toBe(11);
  });

  test("in a circle ends", async () => {
    const server = await serveHttp((_request, response) => response.writeHead(302, { location: "/" }).end());
    const error = await failureOf(get(testClient({ maxRedirects: 3 }), server.url()));
    expect(error.code).toBe("upstream_invalid");
  });

  test.each(["ftp://files.example/x", "file:///etc/passwd", "javascript:alert(1)", "http://[not-a-url"])(
    "to %s is refused",
    async (location) => {
      const server = await serveHttp(redirecting);
      const error = await failureOf(get(testClient(), to(server, location)));
      expect(error).toMatchObject({ code: "upstream_invalid", details: { permanent: true } });
    },
  );

  test("does not hold its connection for a body nobody reads", async () => {
    const server = await serveHttp((request, response) => {
      if (request.url === "/there") response.end("here");
      else response.writeHead(302, { location: "/there" }).end("moved");
    });
    const client = testClient({ connections: 1 });
    expect(await getText(client, server.url())).toBe("here");
    expect(server.connections).toBe(1);
  });
});

describe("what goes along", () => {
  /** The headers that each hop of a way through these servers got. */
  async function headersOnTheWay(hops: (servers: [Loopback, Loopback]) => URL[]): Promise<IncomingHttpHeaders[]> {
    const seen: IncomingHttpHeaders[] = [];
    let way: URL[] = [];
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      const next = way[seen.push(request.headers)];
      if (next === undefined) response.end();
      else response.writeHead(302, { location: next.href }).end();
    };
    way = hops([await serveHttp(listener), await serveHttp(listener)]);
    const [first] = way;
    if (first === undefined) throw new Error("a way has a beginning");
    await getText(testClient(), first, {
      headers: { "Private-Token": "t", Accept: "text/plain", "Disable-Module-Fetch": "true" },
      credentials: { username: "u", password: "p" },
    });
    return seen;
  }

  const secrets = { authorization: "Basic dTpw", "private-token": "t" };

  test("within the origin: everything", async () => {
    const [, second] = await headersOnTheWay(([a]) => [a.url("/1"), a.url("/2")]);
    expect(second).toMatchObject({ ...secrets, accept: "text/plain", "disable-module-fetch": "true" });
  });

  test("to another origin: nothing that could be a secret, and what asks for the same thing", async () => {
    const [, second] = await headersOnTheWay(([a, b]) => [a.url("/1"), b.url("/2")]);
    expect(second).not.toHaveProperty("authorization");
    expect(second).not.toHaveProperty("private-token");
    expect(second).toMatchObject({ accept: "text/plain", "disable-module-fetch": "true", via: "1.1 sluice-test" });
  });

  test("another name of the same machine is another origin", async () => {
    const [, second] = await headersOnTheWay(([a]) => [a.url("/1"), a.url("/2", "localhost")]);
    expect(second).not.toHaveProperty("authorization");
  });

  test("and back again: still nothing", async () => {
    const [first, , third] = await headersOnTheWay(([a, b]) => [a.url("/1"), b.url("/2"), a.url("/3")]);
    expect(first).toMatchObject(secrets);
    expect(third).not.toHaveProperty("authorization");
    expect(third).not.toHaveProperty("private-token");
  });

  test("credentials that a Location carries are not used", async () => {
    const withUserinfo = (url: URL): URL => Object.assign(new URL(url), { username: "evil", password: "evil" });
    const [, second] = await headersOnTheWay(([a, b]) => [a.url("/1"), withUserinfo(b.url("/2"))]);
    expect(second).not.toHaveProperty("authorization");
  });
});

describe("from a public upstream into this network", () => {
  const publicAddress: LookupAddress = { address: "8.8.8.8", family: 4 };
  const loopback: LookupAddress = { address: "127.0.0.1", family: 4 };

  /**
   * Lets `upstream.example` look public: the test can only connect to this machine, so it resolves to it the first time, when
   * the connection is made, and to a public address when it is asked what kind of upstream this is.
   */
  function pretendPublic(others: Readonly<Record<string, LookupAddress[]>> = {}): DnsCache {
    let asked = 0;
    return {
      async resolve(hostname) {
        if (hostname === "upstream.example") return asked++ === 0 ? [loopback] : [publicAddress];
        return others[hostname] ?? [];
      },
    };
  }

  async function follow(
    location: (port: number) => string,
    dns: DnsCache,
  ): Promise<{ outcome: Promise<HttpResponse>; asked: string[] }> {
    const asked: string[] = [];
    const server: Loopback = await serveHttp((request, response) => {
      asked.push(request.url ?? "");
      if (request.url === "/inside") response.end("secret");
      else response.writeHead(302, { location: location(server.port) }).end();
    });
    const client: HttpClient = testClient({ dns });
    return { outcome: get(client, server.url("/outside", "upstream.example")), asked };
  }

  test.each<[string, (port: number) => string, Record<string, LookupAddress[]>?]>([
    ["an address", (port) => `http://127.0.0.1:${port}/inside`],
    ["an address in other clothes", (port) => `http://[::ffff:7f00:1]:${port}/inside`],
    ["a number", (port) => `http://2130706433:${port}/inside`],
    ["localhost", (port) => `http://localhost:${port}/inside`],
    ["a metadata service", () => "http://169.254.169.254/latest/meta-data/"],
    [
      "a name that resolves to it",
      (port) => `http://intranet.example:${port}/inside`,
      { "intranet.example": [loopback] },
    ],
    [
      "a name with one such address",
      (port) => `http://intranet.example:${port}/inside`,
      { "intranet.example": [publicAddress, loopback] },
    ],
  ])("%s is not followed", async (_name, location, names) => {
    const { outcome, asked } = await follow(location, pretendPublic(names));
    const error = await failureOf(outcome);
    expect(error).toMatchObject({ code: "upstream_invalid", details: { permanent: true } });
    expect(error.message).toContain("an address within this network");
    expect(asked).toEqual(["/outside"]);
  });

  test("an upstream within the network may lead to another place in it", async () => {
    const names = { "upstream.example": [loopback], "intranet.example": [loopback] };
    const dns = { resolve: async (name: keyof typeof names) => names[name] };
    const { outcome } = await follow((port) => `http://intranet.example:${port}/inside`, dns);
    expect((await readAll((await outcome).body)).toString()).toBe("secret");
  });
});

describe.skipIf(lacks("openssl", ["version"]))("between http and https", () => {
  const authority = createAuthority();
  const pair = authority.issue("IP:127.0.0.1");

  test("up is followed, without credentials", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const secure = await serveHttps(pair, (request, response) => {
      seen.push(request.headers);
      response.end("secure");
    });
    const plain = await serveHttp(redirecting);
    const credentials = { username: "u", password: "p" };
    expect(await getText(testClient({ ca: [authority.cert] }), to(plain, secure.url().href), { credentials })).toBe(
      "secure",
    );
    expect(seen[0]).not.toHaveProperty("authorization");
  });

  test("down is refused", async () => {
    let asked = 0;
    const plain = await serveHttp((_request, response) => {
      asked += 1;
      response.end("anybody could have written this");
    });
    const secure = await serveHttps(pair, redirecting);
    const error = await failureOf(
      get(testClient({ ca: [authority.cert] }), to(secure, `${plain.url("/x").href}?sig=secret`)),
    );
    expect(error).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("from https to http://"),
    });
    expect(error.message).not.toContain("secret");
    expect(asked).toBe(0);
  });
});
