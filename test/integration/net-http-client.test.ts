import type { ServerResponse } from "node:http";
import { getEventListeners } from "node:events";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { failureOf, get, getText, readAll, testClient } from "../support/http-client.ts";
import { serveHttp } from "../support/loopback.ts";

describe("an answer", () => {
  test("of any status is an answer, with lowercase headers and its size", async () => {
    const server = await serveHttp((request, response) => {
      response.writeHead(Number(request.url?.slice(1)), {
        "X-Thing": "a",
        "Set-Cookie": ["b=1", "c=2"],
        "Content-Length": "4",
      });
      response.end("body");
    });
    const client = testClient();
    for (const status of [200, 203, 301, 400, 401, 404, 410, 429, 500, 503]) {
      const response = await get(client, server.url(`/${status}`));
      expect([response.status, response.size, response.url.href]).toEqual([status, 4, server.url(`/${status}`).href]);
      expect(response.headers).toMatchObject({ "x-thing": "a", "set-cookie": "b=1, c=2", "content-length": "4" });
      expect((await readAll(response.body)).toString()).toBe("body");
    }
  });

  test("without Content-Length has no size and is read to its end", async () => {
    const server = await serveHttp((_request, response) => {
      response.write("one ");
      response.end("two");
    });
    const response = await get(testClient(), server.url());
    expect(response.size).toBeUndefined();
    expect((await readAll(response.body)).toString()).toBe("one two");
  });

  test("without a body is empty", async () => {
    const server = await serveHttp((_request, response) => response.writeHead(204).end());
    const response = await get(testClient(), server.url());
    expect([response.status, response.size, (await readAll(response.body)).length]).toEqual([204, undefined, 0]);
  });

  test("of some megabytes arrives byte for byte", async () => {
    const content = Buffer.alloc(7_000_000, "module zip ");
    const server = await serveHttp((_request, response) => response.end(content));
    const response = await get(testClient(), server.url(), { maxBytes: 7_000_000 });
    expect(response.size).toBe(7_000_000);
    expect((await readAll(response.body)).equals(content)).toBe(true);
  });
});

describe("a request", () => {
  async function headersOf(request: Parameters<typeof get>[2], path = "/"): Promise<Record<string, unknown>> {
    const arrived: Record<string, unknown>[] = [];
    const server = await serveHttp(({ headers, url }, response) => {
      arrived.push({ ...headers, target: url });
      response.end();
    });
    await getText(testClient({ userAgent: "sluice/1.2.3", instanceId: "node7" }), server.url(path), request);
    return arrived[0] ?? {};
  }

  test("says who asks, and by Via that it came through this Sluice", async () => {
    expect(await headersOf({})).toMatchObject({
      "user-agent": "sluice/1.2.3",
      via: "1.1 sluice-node7",
      "accept-encoding": "gzip",
    });
  });

  test("carries the caller's headers, and the path and query as they were written", async () => {
    const headers = await headersOf(
      { headers: { "Disable-Module-Fetch": "true" } },
      "/github.com/!azure/a/@v/v1.0.0+incompatible.info?x=%20y",
    );
    expect(headers).toMatchObject({
      "disable-module-fetch": "true",
      target: "/github.com/!azure/a/@v/v1.0.0+incompatible.info?x=%20y",
    });
  });

  test("carries credentials as Basic, in UTF-8", async () => {
    const headers = await headersOf({ credentials: { username: "üser", password: "p:w" } });
    expect(headers["authorization"]).toBe(`Basic ${Buffer.from("üser:p:w").toString("base64")}`);
  });

  test("for a part of a file takes no compression", async () => {
    expect(await headersOf({ headers: { Range: "bytes=5-" } })).toMatchObject({
      range: "bytes=5-",
      "accept-encoding": "identity",
    });
  });
});

test("a compressed answer is decoded and its size unknown", async () => {
  const text = "module example.com/m\n".repeat(10_000);
  const server = await serveHttp((_request, response) => {
    const packed = gzipSync(text);
    response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length }).end(packed);
  });
  const response = await get(testClient(), server.url());
  expect(response.size).toBeUndefined();
  expect((await readAll(response.body)).toString()).toBe(text);
});

describe("connections", () => {
  test("are used again for the next request", async () => {
    const server = await serveHttp((_request, response) => response.end("hello"));
    const client = testClient();
    for (let index = 0; index < 20; index++) expect(await getText(client, server.url(`/${index}`))).toBe("hello");
    // The second one is opened when a request comes in the moment in which the first answer ends.
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  test("survive an answer that was let go unread, when little is left of it", async () => {
    const server = await serveHttp((_request, response) => response.writeHead(404).end("not found: no such module"));
    const client = testClient();
    for (let index = 0; index < 10; index++) {
      const response = await get(client, server.url());
      response.discard();
      response.discard();
    }
    expect(server.connections).toBeLessThanOrEqual(2);
  });

  test("are closed rather than reading a big answer that nobody wants", async () => {
    let sent = 0;
    const closed = Promise.withResolvers<void>();
    const server = await serveHttp((_request, response) => {
      response.on("close", closed.resolve);
      const block = Buffer.alloc(65_536);
      const more = (): void => {
        do sent += block.length;
        while (response.write(block));
      };
      response.on("drain", more);
      more();
    });
    const response = await get(testClient(), server.url());
    response.discard();
    await closed.promise;
    expect(sent).toBeLessThan(30_000_000);
  });

  test("are closed when a reader leaves in the middle", async () => {
    const closed = Promise.withResolvers<void>();
    const server = await serveHttp((_request, response) => {
      response.on("close", closed.resolve);
      response.write("first");
    });
    const response = await get(testClient(), server.url());
    for await (const chunk of response.body) {
      expect(Buffer.from(chunk).toString()).toBe("first");
      break;
    }
    await closed.promise;
    response.discard();
  });

  test("to one origin are not more than allowed, and the rest waits", async () => {
    const held: ServerResponse[] = [];
    const server = await serveHttp((_request, response) => {
      // Nobody is answered before three are there: fewer at a time would wait for ever.
      if (held.push(response) === 3) for (const one of held.splice(0)) one.end("x");
    });
    const client = testClient({ connections: 3 });
    await Promise.all(Array.from({ length: 30 }, (_, index) => getText(client, server.url(`/${index}`))));
    expect(server.connections).toBe(3);
  });
});

describe("giving up", () => {
  test("before the request means that nothing is sent", async () => {
    const server = await serveHttp((_request, response) => response.end("x"));
    const error = await failureOf(get(testClient(), server.url(), { signal: AbortSignal.abort() }));
    expect([error.code, server.connections]).toEqual(["cancelled", 0]);
  });

  test("while the server thinks ends the request and its connection", async () => {
    const arrived = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const server = await serveHttp((_request, response) => {
      response.on("close", closed.resolve);
      arrived.resolve();
    });
    const caller = new AbortController();
    const failure = failureOf(get(testClient(), server.url(), { signal: caller.signal }));
    await arrived.promise;
    caller.abort();
    expect((await failure).code).toBe("cancelled");
    await closed.promise;
  });

  test("while all connections are taken does not wait for one", async () => {
    const arrived = Promise.withResolvers<void>();
    const server = await serveHttp(() => arrived.resolve());
    const client = testClient({ connections: 1 });
    const caller = new AbortController();
    const first = new AbortController();
    const hanging = failureOf(get(client, server.url(), { signal: first.signal }));
    await arrived.promise;
    const waiting = failureOf(get(client, server.url("/2"), { signal: caller.signal }));
    caller.abort();
    expect((await waiting).code).toBe("cancelled");
    first.abort();
    expect((await hanging).code).toBe("cancelled");
  });

  test("within a body fails its reading", async () => {
    const server = await serveHttp((_request, response) => response.write("first"));
    const caller = new AbortController();
    const response = await get(testClient(), server.url(), { signal: caller.signal });
    const reading = response.body[Symbol.asyncIterator]();
    await reading.next();
    caller.abort();
    expect((await failureOf(reading.next())).code).toBe("cancelled");
  });

  test("because the caller's time is up is a timeout", async () => {
    const server = await serveHttp(() => undefined);
    const error = await failureOf(get(testClient(), server.url(), { signal: AbortSignal.timeout(20) }));
    expect(error.code).toBe("upstream_timeout");
  });

  test("leaves nothing listening on a signal that lives on", async () => {
    const server = await serveHttp((_request, response) => response.end("x"));
    const client = testClient();
    const caller = new AbortController();
    const response = await get(client, server.url(), { signal: caller.signal });
    expect(getEventListeners(caller.signal, "abort")).toHaveLength(1);
    await readAll(response.body);
    await expect.poll(() => getEventListeners(caller.signal, "abort")).toEqual([]);
  });
});

describe("closing the client", () => {
  test("ends what is under way and takes nothing more", async () => {
    const arrived = Promise.withResolvers<void>();
    const server = await serveHttp(() => arrived.resolve());
    const client = testClient();
    const failure = failureOf(get(client, server.url()));
    await arrived.promise;
    await client.close();
    expect((await failure).code).toBe("cancelled");
    expect((await failureOf(get(client, server.url()))).code).toBe("cancelled");
  });
});
