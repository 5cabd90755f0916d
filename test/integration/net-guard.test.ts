import { describe, expect, test } from "vitest";
import { createDnsCache, type DnsCache } from "../../src/net/dns-cache.ts";
import { createAddressGuard } from "../../src/net/ssrf.ts";
import { createAuthority } from "../support/certificates.ts";
import { failureOf, get, getText, testClient } from "../support/http-client.ts";
import { serveHttp, serveHttps } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";

/** Every name is this address. */
function dnsOf(address: string): DnsCache {
  return createDnsCache({ lookup: async () => [{ address, family: address.includes(":") ? 6 : 4 }] });
}

describe("a request whose host a stranger chose", () => {
  test.each(["127.0.0.1", "trap.example"])("does not reach %s within this network", async (host) => {
    const server = await serveHttp((_request, response) => response.end());
    const client = testClient({ dns: dnsOf("127.0.0.1") });
    const failure = await failureOf(get(client, server.url("/", host), { mayBePrivate: () => false }));
    expect(failure).toMatchObject({ code: "upstream_refused", details: { host, permanent: true } });
    expect(server.connections).toBe(0);
  });

  test("follows redirects within this network only to hosts that may be there", async () => {
    const inner = await serveHttp((_request, response) => response.end("inner"));
    const outer = await serveHttp((request, response) => {
      const host = request.url === "/named" ? "named.example" : "trap.example";
      response.writeHead(302, { location: inner.url("/", host).href }).end();
    });
    const client = testClient({ dns: dnsOf("127.0.0.1") });
    const mayBePrivate = (hostname: string): boolean => hostname === "named.example";
    expect(await getText(client, outer.url("/named", "named.example"), { mayBePrivate })).toBe("inner");
    const failure = await failureOf(get(client, outer.url("/", "named.example"), { mayBePrivate }));
    expect(failure).toMatchObject({ code: "upstream_refused", details: { host: "trap.example" } });
    expect(inner.connections).toBe(1);
  });
});

describe.skipIf(lacks("openssl", ["version"]))("a request that may be insecure", () => {
  test("takes any certificate, while others of the same client do not", async () => {
    const server = await serveHttps(createAuthority().issue("DNS:elsewhere.example"), (_request, response) => {
      response.end("hello");
    });
    const client = testClient();
    expect(await getText(client, server.url(), { insecure: true })).toBe("hello");
    expect(await failureOf(get(client, server.url()))).toMatchObject({ code: "upstream_failed" });
  });

  test("follows a redirect from https to http", async () => {
    const plain = await serveHttp((_request, response) => response.end("plain"));
    const server = await serveHttps(createAuthority().issue("IP:127.0.0.1"), (_request, response) => {
      response.writeHead(302, { location: plain.url().href }).end();
    });
    expect(await getText(testClient(), server.url(), { insecure: true })).toBe("plain");
  });
});

describe("an address that others connect to", () => {
  const egress = (url: URL): URL | undefined =>
    url.protocol === "https:" ? new URL("http://proxy.example:3128") : undefined;

  test.each([
    ["https://127.0.0.1/x", "8.8.8.8"],
    ["ssh://git@[fd00::1]:2222/x", "8.8.8.8"],
    ["ssh://localhost/x", "8.8.8.8"],
    ["https://trap.example/x", "10.0.0.1"],
    ["ssh://git@0x7f.1/x", "127.0.0.1"],
    ["https://trap.example/x", "::ffff:169.254.169.254"],
  ])("%s with the address %s is refused", async (url, address) => {
    const failure = await failureOf(createAddressGuard({ dns: dnsOf(address) })(new URL(url)));
    expect(failure).toMatchObject({ code: "upstream_refused", details: { permanent: true } });
  });

  test.each([
    ["https://git.example/x", "8.8.8.8", ["8.8.8.8"]],
    ["ssh://git@git.example:22/x", "2606:4700::1111", ["2606:4700::1111"]],
    ["https://8.8.8.8/x", "10.0.0.1", undefined],
  ])("%s with the address %s is let through, to that address", async (url, address, judged) => {
    await expect(createAddressGuard({ dns: dnsOf(address) })(new URL(url))).resolves.toEqual(judged);
  });

  test("is judged by its name alone where a proxy resolves it, which is not so for SSH", async () => {
    const guard = createAddressGuard({ dns: dnsOf("10.0.0.1"), egress });
    await expect(guard(new URL("https://git.example/x"))).resolves.toBeUndefined();
    expect(await failureOf(guard(new URL("https://10.0.0.1/x")))).toMatchObject({ code: "upstream_refused" });
    expect(await failureOf(guard(new URL("ssh://git.example/x")))).toMatchObject({ code: "upstream_refused" });
  });

  test("is unknown while DNS does not answer", async () => {
    const dns = createDnsCache({
      lookup: () => Promise.reject(Object.assign(new Error("no answer"), { code: "EAI_AGAIN" })),
    });
    expect(await failureOf(createAddressGuard({ dns })(new URL("https://git.example/x")))).toMatchObject({
      code: "upstream_failed",
    });
  });
});
