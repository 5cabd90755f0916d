import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createDnsCache } from "../../src/net/dns-cache.ts";
import type { HttpClient } from "../../src/net/http.ts";
import { createAddressGuard } from "../../src/net/ssrf.ts";
import { createGuardedAccess, type GuardedAccessOptions } from "../../src/sources/git/guarded-access.ts";
import { createGitHarness, outcomeOf } from "../support/git-harness.ts";
import { buildRepo } from "../support/git-repos.ts";
import { type GitServerOptions, startGitServer } from "../support/git-server.ts";
import { testClient } from "../support/http-client.ts";
import { serveHttp } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";

const path = "git.example.com/lib";

/** A git server whose names, all below `.test`, only Sluice's resolver knows: whoever asks the system's finds nothing. */
async function createWorld(options: Partial<GitServerOptions> = {}) {
  const root = await mkdtemp(join(tmpdir(), "sluice-guard-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await buildRepo(join(root, "lib.git"), { commits: [{ files: { "go.mod": `module ${path}\n` }, tags: ["v1.0.0"] }] });
  const server = await startGitServer({ root, ...options });
  onTestFinished(() => server.close());
  const port = Number(new URL(server.url).port);
  return { server, port, at: (host: string, name = "lib.git") => `http://${host}:${port}/${name}` };
}

async function createSluice(url: string, options: Partial<GuardedAccessOptions> = {}) {
  const dns = createDnsCache({ lookup: async () => [{ address: "127.0.0.1", family: 4 }] });
  const client = testClient({ dns });
  // Names below .test stand for the public internet.
  const isPublic = (hostname: string): boolean => hostname.endsWith(".test");
  const guard = createAddressGuard({ dns });
  const http: HttpClient = { ...client, get: (request) => client.get({ ...request, mayBePrivate: isPublic }) };
  const access = createGuardedAccess({
    access: async () => ({ env: {}, hasCredential: false, dispose: async () => undefined }),
    isNamedHost: () => false,
    addressesOf: async (remote) => (isPublic(remote.hostname) ? ["127.0.0.1"] : guard(remote)),
    http,
    ...options,
  });
  const sluice = await createGitHarness({ places: [{ root: path, url }], access, refsTtlMs: 0 });
  onTestFinished(() => sluice[Symbol.asyncDispose]());
  return sluice;
}

describe.skipIf(lacks("git"))("git and hosts that the configuration does not name", () => {
  test.each(["pinned.test", "Pinned.TEST"])("git goes to the address that was checked: %s", async (host) => {
    const { at } = await createWorld();
    const sluice = await createSluice(at(host));
    expect(await sluice.list(path)).toEqual(["v1.0.0"]);
    expect(await sluice.mod(path, "v1.0.0")).toBe(`module ${path}\n`);
  });

  test("a name that turns to an address within this network is not connected to", async () => {
    const { server, at } = await createWorld();
    let address = "192.0.9.1";
    let now = 0;
    const dns = createDnsCache({
      lookup: async () => [{ address, family: 4 }],
      now: () => now,
      ttlMs: 1,
      refreshMs: 0,
    });
    const addressesOf = createAddressGuard({ dns });
    await addressesOf(new URL(at("turning.test")));
    address = "127.0.0.1";
    now = 1_000;
    const sluice = await createSluice(at("turning.test"), { addressesOf });
    expect(await outcomeOf(sluice.list(path))).toMatch(/^upstream_refused: turning\.test: .*within this network/);
    expect(server.requests).toEqual([]);
  });

  test("a name that the system resolves to this machine is not connected to when another address was checked", async () => {
    const { server, at } = await createWorld();
    // Nothing listens there, and everybody's resolver knows the name.
    const sluice = await createSluice(at("localhost"), { addressesOf: async () => ["127.255.255.254"] });
    const unguarded = await createGitHarness({ places: [{ root: path, url: at("localhost") }] });
    onTestFinished(() => unguarded[Symbol.asyncDispose]());
    expect(await unguarded.list(path)).toEqual(["v1.0.0"]);
    const before = server.requests.length;
    expect(await outcomeOf(sluice.list(path))).toMatch(/^upstream_failed: /);
    expect(server.requests).toHaveLength(before);
  });

  test("a redirect into this network is not followed", async () => {
    const trap = await serveHttp((_, response) => void response.end("trapped"));
    const { server, at } = await createWorld({
      handle: (request, response) => {
        response.writeHead(302, { location: `http://127.0.0.1:${trap.port}${request.url}` }).end();
        return true;
      },
    });
    const sluice = await createSluice(at("pinned.test"));
    expect(await outcomeOf(sluice.list(path))).toMatch(/^upstream_refused: 127\.0\.0\.1: .*within this network/);
    expect(server.requests.length).toBeGreaterThan(0);
    expect(trap.connections).toBe(0);
  });

  test("a redirect to another public host, as of a renamed repository, is", async () => {
    const { server, at, port } = await createWorld({
      handle: (request, response) => {
        if (request.url?.startsWith("/old/") !== true) return false;
        response.writeHead(301, { location: `http://new.test:${port}${request.url.slice("/old".length)}` }).end();
        return true;
      },
    });
    const sluice = await createSluice(at("pinned.test", "old/lib.git"));
    expect(await sluice.list(path)).toEqual(["v1.0.0"]);
    expect(await sluice.mod(path, "v1.0.0")).toBe(`module ${path}\n`);
    expect(server.requests.map(({ headers }) => headers.host)).toContain(`new.test:${port}`);
  });
});
