import { createServer, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { errorTable, type ErrorCode } from "../../src/core/errors.ts";
import { failureOf, get, getText, readAll, testClient } from "../support/http-client.ts";
import { closedPort, listen, serveHttp, serveRaw } from "../support/loopback.ts";

const short = { connectMs: 60, firstByteMs: 60, idleBodyMs: 60, totalMs: 5000 };

/** What a whole exchange, the reading of the body included, fails with. */
async function failure(
  url: URL,
  options: Parameters<typeof testClient>[0] = {},
  maxBytes = 1_000_000,
): Promise<{ code: ErrorCode; message: string }> {
  const client = testClient(options);
  const exchange = async (): Promise<unknown> => readAll((await get(client, url, { maxBytes })).body);
  return failureOf(exchange());
}

/** Answers every request with these bytes and, if said, closes the connection behind them. */
function answering(bytes: string | Buffer, end: "close" | "reset" | "keep" = "keep"): ReturnType<typeof serveRaw> {
  return serveRaw((socket) => {
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes, () => {
      if (end === "close") socket.end();
      if (end === "reset") socket.resetAndDestroy();
    });
  });
}

describe("no answer", () => {
  test("nobody listens", async () => {
    const port = await closedPort();
    const error = await failure(new URL(`http://127.0.0.1:${port}/`));
    expect(error.code).toBe("upstream_failed");
    expect(error.message).toContain(`127.0.0.1:${port}: refused the connection (ECONNREFUSED)`);
  });

  test("a name that DNS does not know", async () => {
    const lookup = Object.assign(new Error("getaddrinfo ENOTFOUND nowhere.example"), { code: "ENOTFOUND" });
    const error = await failure(new URL("http://nowhere.example/"), { dns: { resolve: () => Promise.reject(lookup) } });
    expect(error.code).toBe("upstream_failed");
    expect(error.message).toMatch(/^nowhere\.example: the name has no address in DNS \(ENOTFOUND\)/);
  });

  test("a resolver that fails", async () => {
    const lookup = Object.assign(new Error("getaddrinfo EAI_AGAIN a.example"), { code: "EAI_AGAIN" });
    const error = await failure(new URL("http://a.example/"), { dns: { resolve: () => Promise.reject(lookup) } });
    expect(error).toMatchObject({ code: "upstream_failed", message: expect.stringContaining("DNS did not answer") });
  });

  test("a resolver that hangs", async () => {
    const error = await failure(new URL("http://a.example/"), {
      timeouts: short,
      dns: { resolve: () => new Promise(() => undefined) },
    });
    expect(error).toMatchObject({ code: "upstream_timeout", message: expect.stringContaining("within 0.06 s") });
  });

  test("all addresses of a name are tried", async () => {
    const server = await serveHttp((_request, response) => response.end("here"));
    const addresses = [
      { address: "::1", family: 6 },
      { address: "127.0.0.1", family: 4 },
    ];
    const client = testClient({ dns: { resolve: async () => addresses } });
    expect(await getText(client, server.url("/", "two.example"))).toBe("here");
  });

  test("a connection that is accepted and never answered", async () => {
    const server = await serveHttp(() => undefined);
    const error = await failure(server.url(), { timeouts: short });
    expect(error.code).toBe("upstream_timeout");
    expect(error.message).toBe(`127.0.0.1:${server.port}: did not begin to answer within 0.06 s.`);
  });

  test("TLS that is never spoken", async () => {
    const server = await listen(
      createServer(() => undefined),
      "https",
    );
    const error = await failure(server.url(), { timeouts: short });
    expect(error).toMatchObject({
      code: "upstream_timeout",
      message: expect.stringContaining("did not accept a connection within 0.06 s"),
    });
  });

  test.each(["close", "reset"] as const)("a %s before the first byte", async (end) => {
    const server = await serveRaw((socket) => void (end === "close" ? socket.end() : socket.resetAndDestroy()));
    const error = await failure(server.url());
    expect(error).toMatchObject({ code: "upstream_failed", message: expect.stringContaining("closed the connection") });
  });

  test.each(["close", "reset"] as const)("a %s within the headers", async (end) => {
    const server = await answering("HTTP/1.1 200 OK\r\nContent-Le", end);
    expect((await failure(server.url())).code).toBe("upstream_failed");
  });
});

describe("not the answer of a GOPROXY", () => {
  test.each([
    ["a greeting of another protocol", "SSH-2.0-OpenSSH_9.6\r\n"],
    ["noise", Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46])],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"],
    [
      "a length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ],
    ["a length that is no number", "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\nab"],
    ["a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
  ])("%s", async (_name, bytes) => {
    const server = await answering(bytes);
    const error = await failure(server.url());
    expect(error.code).toBe("upstream_invalid");
    expect(error.message).toMatch(/^127\.0\.0\.1:\d+: (did not answer in HTTP|sent a body whose size is not)/);
    expect(inspect(error, { depth: 9 })).not.toContain("OpenSSH");
  });

  test("headers without end", async () => {
    const server = await serveRaw(
      (socket) => void pour(socket, "HTTP/1.1 200 OK\r\n", `X-Filler: ${"x".repeat(1000)}\r\n`),
    );
    const error = await failure(server.url(), { maxHeaderBytes: 20_000 });
    expect(error).toMatchObject({ code: "upstream_invalid", message: expect.stringContaining("headers larger") });
  });
});

describe("a body that lies about its length", () => {
  test.each(["close", "reset"] as const)("too short, then a %s", async (end) => {
    const server = await answering("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf of it", end);
    const error = await failure(server.url());
    expect(error.code).toBe("upstream_invalid");
    expect(error.message).toMatch(/closed the connection behind \d+ of the 20 bytes it promised/);
  });

  test("chunks without their end", async () => {
    const server = await answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "close");
    expect((await failure(server.url())).code).toBe("upstream_failed");
  });

  test("too long: what is left over is neither part of this answer nor of the next", async () => {
    const next = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    const server = await serveRaw((socket, head) => {
      const body = /^GET \/(\w+)/.exec(head)?.[1] ?? "";
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}${next}`);
    });
    // With one connection, requests wait for the one before them: the moment in which a left-over could be taken for an answer.
    const client = testClient({ connections: 1 });
    const names = Array.from({ length: 12 }, (_, index) => `answer${index}`);
    expect(await Promise.all(names.map((name) => getText(client, server.url(`/${name}`))))).toEqual(names);
  });
});

describe("a body that is too large", () => {
  test("is not read at all when it says so itself", async () => {
    const server = await serveRaw((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"));
    const error = await failure(server.url(), {}, 1000);
    expect(error).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("larger than the 1000 bytes"),
    });
  });

  test("ends where the limit is", async () => {
    const server = await serveHttp((_request, response) => void pour(response, "", "x".repeat(400)));
    expect((await failure(server.url(), {}, 1000)).code).toBe("upstream_invalid");
  });

  test("is fine with exactly as many bytes as allowed", async () => {
    const server = await serveHttp((_request, response) => response.end("x".repeat(1000)));
    expect(await getText(testClient(), server.url(), { maxBytes: 1000 })).toHaveLength(1000);
  });
});

describe("compression", () => {
  function packed(body: Buffer, coding = "gzip"): ReturnType<typeof serveHttp> {
    return serveHttp((_request, response) =>
      response.writeHead(200, { "content-encoding": coding, "content-length": body.length }).end(body),
    );
  }

  test("a bomb is not unpacked beyond the limit", async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000));
    const server = await packed(bomb);
    const before = process.memoryUsage().rss;
    const error = await failure(server.url(), {}, 1_000_000);
    expect(error).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("larger than the 1000000 bytes"),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  test.each<[string, Buffer]>([
    ["is not gzip", Buffer.from("module example.com/m\n")],
    ["was cut when it was packed", gzipSync("module example.com/m\n".repeat(1000)).subarray(0, -20)],
    ["has a wrong checksum", withFlippedBit(gzipSync("module example.com/m\n"), -8)],
  ])("a body that %s", async (_name, body) => {
    const server = await packed(body);
    const error = await failure(server.url());
    expect(error).toMatchObject({ code: "upstream_invalid", message: expect.stringContaining("not valid gzip") });
  });

  test("nothing at all is nothing, whatever the header says", async () => {
    const server = await packed(Buffer.alloc(0));
    expect(await getText(testClient(), server.url())).toBe("");
    const none = await serveHttp((_request, response) => response.writeHead(204, { "content-encoding": "gzip" }).end());
    expect(await getText(testClient(), none.url())).toBe("");
  });

  test("a body that was cut on the way", async () => {
    const body = gzipSync(Buffer.from(Array.from({ length: 10_000 }, (_, index) => (index * index) % 251)));
    const server = await serveRaw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`);
      socket.end(body.subarray(0, body.length / 2));
    });
    const error = await failure(server.url());
    expect(error).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining("closed the connection behind"),
    });
  });

  test("a coding that was not asked for fails the body and not the answer", async () => {
    const server = await packed(Buffer.from("x"), "br");
    const response = await get(testClient(), server.url());
    expect(response.status).toBe(200);
    expect(await failureOf(readAll(response.body))).toMatchObject({
      code: "upstream_invalid",
      message: expect.stringContaining('"br"'),
    });
  });

  test("a part of a file in gzip is of no use", async () => {
    const server = await packed(gzipSync("x"));
    const response = await get(testClient(), server.url(), { headers: { range: "bytes=1-" } });
    expect((await failureOf(readAll(response.body))).code).toBe("upstream_invalid");
  });
});

describe("a slow body", () => {
  test("that stops is given up", async () => {
    const server = await serveRaw((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst"));
    const error = await failure(server.url(), { timeouts: short });
    expect(error).toMatchObject({ code: "upstream_timeout", message: expect.stringContaining("stopped sending") });
  });

  test("that drips, byte by byte, is given up too", async () => {
    const server = await serveRaw((socket) => drip(socket, 10));
    const error = await failure(server.url(), { timeouts: short });
    expect(error).toMatchObject({ code: "upstream_timeout", message: expect.stringContaining("stopped sending") });
  });

  test("that drips is read as long as it keeps the pace that is wanted", async () => {
    const server = await serveRaw((socket) => drip(socket, 10, 14));
    const client = testClient({ timeouts: { ...short, idleBodyMs: 120 }, idleBytes: 1 });
    expect(await getText(client, server.url())).toBe("x".repeat(14));
  });

  test("ends with the time for all of it, however much still comes", async () => {
    const server = await serveHttp((_request, response) => void pour(response, "", "x".repeat(10)));
    const error = await failure(server.url(), { timeouts: { totalMs: 60 } }, Number.POSITIVE_INFINITY);
    expect(error).toMatchObject({
      code: "upstream_timeout",
      message: expect.stringContaining("did not finish within 0.06 s"),
    });
  });

  test("is not the server's fault when the reader is slow", async () => {
    const content = Buffer.alloc(3_000_000, "x");
    const server = await serveHttp((_request, response) => response.end(content));
    const response = await get(testClient({ timeouts: { ...short, idleBodyMs: 80 } }), server.url(), {
      maxBytes: 3_000_000,
    });
    let bytes = 0;
    for await (const chunk of response.body) {
      // Once, for longer than the server may be idle.
      if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 120));
      bytes += chunk.length;
    }
    expect(bytes).toBe(content.length);
  });
});

test("no message shows credentials, a query or what the server said", async () => {
  const server = await answering("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nsecret-body", "close");
  const url = server.url("/x?token=secret-query");
  const client = testClient();
  const credentials = { username: "secret-user", password: "secret-password" };
  const exchange = async (): Promise<unknown> => readAll((await get(client, url, { credentials })).body);
  const error = await failureOf(exchange());
  expect(JSON.stringify([error.message, error.details])).not.toContain("secret");
  expect(errorTable[error.code].public).toBe(true);
});

/** Writes for ever, as fast as it is read, until the connection is gone. */
async function pour(target: Writable, first: string, block: string): Promise<void> {
  if (first !== "") target.write(first);
  while (!target.destroyed) {
    await new Promise<void>((resolve) => {
      target.write(block, () => setImmediate(resolve));
    });
  }
}

function drip(socket: Socket, everyMs: number, count = 1000): void {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${count}\r\n\r\n`);
  let left = count;
  const timer = setInterval(() => {
    if (left-- > 0) socket.write("x");
    else clearInterval(timer);
  }, everyMs);
  socket.on("close", () => clearInterval(timer));
}

/** `at` counts from the end when it is negative. */
function withFlippedBit(bytes: Buffer, at: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8((flipped.at(at) ?? 0) ^ 1, (at + flipped.length) % flipped.length);
  return flipped;
}
