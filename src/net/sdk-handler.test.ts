import { Readable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { createAuthority } from "../../test/support/certificates.ts";
import { closedPort, type Loopback, serveHttp, serveHttps, serveRaw } from "../../test/support/loopback.ts";
import { lacks } from "../../test/support/needs.ts";
import { createSdkHandler, type SdkHandler, type SdkHandlerOptions, type SdkRequest } from "./sdk-handler.ts";

describe("a request of the SDK", () => {
  let handler: SdkHandler | undefined;

  afterEach(() => {
    handler?.destroy();
  });

  function start(options: Partial<SdkHandlerOptions> = {}): SdkHandler {
    handler = createSdkHandler({ ca: [], ...options });
    return handler;
  }

  it("arrives as it was signed, and its answer comes back", async () => {
    const server = await serveHttp((request, response) => {
      response.setHeader("x-asked", `${request.method} ${request.url} ${String(request.headers["x-a"])}`);
      request.pipe(response);
    });
    const query = { "x-id": "Put!", list: ["b c", "d"], uploads: "", acl: null };
    const request = requestTo(server, { method: "PUT", path: "/b/a%20b/%2B", query, headers: { "x-a": "1" } });
    for (const body of ["content", Buffer.from("content"), Readable.from([Buffer.from("content")])]) {
      const { response } = await start().handle({ ...request, body });
      expect(response.statusCode).toBe(200);
      expect(response.headers["x-asked"]).toBe("PUT /b/a%20b/%2B?x-id=Put%21&list=b%20c&list=d&uploads=&acl 1");
      expect(await text(response.body)).toBe("content");
    }
  });

  it("goes through the forward proxy for its URL", async () => {
    const proxy = await serveHttp((request, response) => void response.end(`through ${request.url}`));
    const asked: string[] = [];
    const egress = (url: URL): URL => {
      asked.push(url.href);
      return proxy.url();
    };
    const target = { ...requestTo(proxy), hostname: "bucket.example.com", port: 9000 };
    const { response } = await start({ egress }).handle(target);
    expect(await text(response.body)).toBe("through http://bucket.example.com:9000/");
    expect(asked).toEqual(["http://bucket.example.com:9000/"]);
  });

  it("fails in words where nobody listens", async () => {
    const port = await closedPort();
    const request = { method: "GET", protocol: "http:", hostname: "127.0.0.1", port, path: "/", headers: {} };
    await expect(start().handle(request)).rejects.toMatchObject({
      code: "upstream_failed",
      message: expect.stringContaining(`127.0.0.1:${port}: refused the connection`),
    });
  });

  it("fails when no answer begins in time, and its body when nothing follows", async () => {
    const silent = await serveRaw(() => undefined);
    const timeouts = { firstByteMs: 50, idleBodyMs: 50 };
    await expect(start({ timeouts }).handle(requestTo(silent))).rejects.toMatchObject({ code: "upstream_timeout" });
    const stalling = await serveRaw((socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"));
    const { response } = await start({ timeouts }).handle(requestTo(stalling));
    await expect(buffer(response.body)).rejects.toMatchObject({ code: "UND_ERR_BODY_TIMEOUT" });
  });

  it("ends when its caller gives up", async () => {
    const silent = await serveRaw(() => undefined);
    const giveUp = new AbortController();
    const answer = start().handle(requestTo(silent), { abortSignal: giveUp.signal });
    giveUp.abort();
    await expect(answer).rejects.toMatchObject({ code: "upstream_failed" });
  });

  describe.skipIf(lacks("openssl", ["version"]))("over TLS", () => {
    it("believes the authorities it was given, and no others", async () => {
      const authority = createAuthority();
      const server = await serveHttps(authority.issue("IP:127.0.0.1"), (_, response) => void response.end("secured"));
      const { response } = await start({ ca: [authority.cert] }).handle(requestTo(server));
      expect(await text(response.body)).toBe("secured");
      handler?.destroy();
      await expect(start({ ca: [createAuthority().cert] }).handle(requestTo(server))).rejects.toMatchObject({
        code: "upstream_failed",
        message: expect.stringContaining("authority this machine does not know"),
      });
    });
  });
});

function requestTo(server: Loopback, request: Partial<SdkRequest> = {}): SdkRequest {
  const { protocol, hostname } = server.url();
  return { method: "GET", protocol, hostname, port: server.port, path: "/", headers: {}, ...request };
}
