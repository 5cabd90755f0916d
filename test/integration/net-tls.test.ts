import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { withExtraCa } from "../../src/net/trust.ts";
import { createAuthority, createSelfSigned } from "../support/certificates.ts";
import { failureOf, get, getText, testClient } from "../support/http-client.ts";
import { listen, serveHttp, serveHttps, type Loopback } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";

const run = promisify(execFile);

describe.skipIf(lacks("openssl", ["version"]))("TLS", () => {
  const authority = createAuthority();
  const pair = authority.issue("IP:127.0.0.1", "DNS:upstream.example");
  const hello = (): Promise<Loopback> => serveHttps(pair, (_request, response) => response.end("hello"));
  const dns = { resolve: async () => [{ address: "127.0.0.1", family: 4 }] };

  describe("a certificate", () => {
    test("that is not for servers is refused in words", async () => {
      const server = await serveHttps(authority, (_request, response) => response.end("hello"));
      const error = await failureOf(get(testClient({ ca: [authority.cert] }), server.url()));
      expect(error).toMatchObject({ code: "upstream_failed", details: { permanent: true } });
      expect(error.message).toContain("its TLS certificate is not good");
    });

    test("of a trusted authority is good, by name and by address", async () => {
      const server = await hello();
      const client = testClient({ ca: [authority.cert], dns });
      expect(await getText(client, server.url())).toBe("hello");
      expect(await getText(client, server.url("/", "upstream.example"))).toBe("hello");
      expect(await getText(client, server.url("/", "upstream.example."))).toBe("hello");
    });

    test("of an unknown authority is refused, and the message says what to do", async () => {
      const server = await hello();
      const error = await failureOf(get(testClient({ ca: [createAuthority().cert] }), server.url()));
      expect(error).toMatchObject({ code: "upstream_failed", details: { permanent: true } });
      expect(error.message).toContain(
        `127.0.0.1:${server.port}: its TLS certificate is signed by an authority this machine does not know`,
      );
      expect(error.message).toContain("ca_file");
      expect(error.message).toContain("SSL_CERT_FILE");
    });

    test("is refused when nothing is trusted, for the roots of Node are not meant then", async () => {
      const server = await hello();
      expect((await failureOf(get(testClient({ ca: [] }), server.url()))).code).toBe("upstream_failed");
    });

    test("that signs itself is refused the same way", async () => {
      const server = await serveHttps(createSelfSigned("IP:127.0.0.1"), (_request, response) => response.end("hello"));
      const error = await failureOf(get(testClient(), server.url()));
      expect(error.message).toContain("ca_file");
    });

    test("for another name is refused", async () => {
      const server = await hello();
      const error = await failureOf(get(testClient({ ca: [authority.cert], dns }), server.url("/", "other.example")));
      expect(error).toMatchObject({ code: "upstream_failed", details: { permanent: true } });
      expect(error.message).toMatch(/^other\.example:\d+: its TLS certificate is for another host name/);
    });

    test("of an extra CA file is good beside the others", async () => {
      const server = await hello();
      const trust = withExtraCa(
        { certificates: [createAuthority().cert], sources: [], problems: [] },
        authority.cert,
        "ca_file",
      );
      expect(await getText(testClient({ ca: trust.certificates }), server.url())).toBe("hello");
    });
  });

  test("https asked of an http server is said in words", async () => {
    const server = await serveHttp((_request, response) => response.end("plain"));
    const error = await failureOf(get(testClient(), new URL(`https://127.0.0.1:${server.port}/`)));
    expect(error).toMatchObject({
      code: "upstream_failed",
      message: expect.stringContaining("Check the scheme and port"),
    });
  });

  test("http asked of an https server is an answer of that server or said in words", async () => {
    const server = await hello();
    const error = await failureOf(get(testClient(), new URL(`http://127.0.0.1:${server.port}/`)));
    expect(["upstream_failed", "upstream_invalid"]).toContain(error.code);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("sessions are resumed on new connections, with %s", async (version) => {
    const resumed: boolean[] = [];
    const server = createServer(
      { cert: pair.cert, key: pair.key, minVersion: version, maxVersion: version },
      (request, response) => {
        if (request.socket instanceof TLSSocket) resumed.push(request.socket.isSessionReused());
        // Every request needs a connection of its own.
        response.writeHead(200, { connection: "close" }).end("hello");
      },
    );
    const loopback = await listen(server, "https");
    const client = testClient({ ca: [authority.cert] });
    for (let index = 0; index < 5; index++) await getText(client, loopback.url());
    expect(loopback.connections).toBe(5);
    expect(resumed).toEqual([false, true, true, true, true]);
  });

  test("a session of one host is not shown to another on the same machine", async () => {
    const resumed: boolean[] = [];
    const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
      if (request.socket instanceof TLSSocket) resumed.push(request.socket.isSessionReused());
      response.writeHead(200, { connection: "close" }).end("hello");
    });
    const loopback = await listen(server, "https");
    const client = testClient({ ca: [authority.cert], dns });
    await getText(client, loopback.url());
    await getText(client, loopback.url("/", "upstream.example"));
    expect(resumed).toEqual([false, false]);
  });

  describe("in a process with an otherwise empty environment", () => {
    /** Asks with the system's trust and egress, as the program does, in a process that has these variables only. */
    async function askAlone(url: URL, env: Record<string, string>): Promise<string> {
      const source = (name: string): string =>
        JSON.stringify(new URL(`../../src/net/${name}.ts`, import.meta.url).href);
      const program = `
        import { createHttpClient } from ${source("http-client")};
        import { createEgress } from ${source("egress")};
        import { loadTrust } from ${source("trust")};
        const env = process.env;
        const client = createHttpClient({ ca: loadTrust({ env }).certificates, egress: createEgress(env), userAgent: "t", instanceId: "t" });
        const request = { url: new URL(process.argv[1]), signal: AbortSignal.timeout(20000), maxBytes: 1000 };
        try {
          for await (const chunk of (await client.get(request)).body) process.stdout.write(chunk);
        } catch (error) {
          process.stdout.write(error.code + " " + error.message);
        }
        await client.close();
      `;
      const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program, url.href], { env });
      return stdout;
    }

    function caFile(): string {
      const folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
      onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
      writeFileSync(join(folder, "corp.pem"), authority.cert);
      return join(folder, "corp.pem");
    }

    test("SSL_CERT_FILE is enough", async () => {
      const server = await hello();
      expect(await askAlone(server.url(), { SSL_CERT_FILE: caFile() })).toBe("hello");
    });

    test("SSL_CERT_DIR is enough", async () => {
      const server = await hello();
      expect(await askAlone(server.url(), { SSL_CERT_DIR: join(caFile(), "..") })).toBe("hello");
    });

    test("without them the test's authority is unknown", async () => {
      const server = await hello();
      expect(await askAlone(server.url(), {})).toMatch(/^upstream_failed .*does not know/);
    });
  });
});
