import { describe, expect, onTestFinished, test } from "vitest";
import type { FetchContext } from "../../src/core/ports.ts";
import { createDnsCache } from "../../src/net/dns-cache.ts";
import { createEgress } from "../../src/net/egress.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import { createAddressGuard } from "../../src/net/ssrf.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import { createDiscovery, type DiscoveryOptions } from "../../src/sources/git/discovery/discovery.ts";
import { defaultTimes } from "../../src/sources/git/discovery/fresh-cache.ts";
import type { RepoLocation } from "../../src/sources/git/discovery/location.ts";
import { createNamedHosts } from "../../src/sources/git/discovery/named-hosts.ts";
import { createModSources } from "../../src/sources/git/mod-source.ts";
import { createAuthority } from "../support/certificates.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { failureOf, testClient } from "../support/http-client.ts";
import { serveHttp } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";
import { contextOf, fetchBytes } from "../support/source-harness.ts";
import { startVanityWeb, tagged } from "../support/vanity-web.ts";

// What go does itself is compared in git-discovery-oracle.test.ts. This is what a server adds.

const git = "https://git.vanity.test/repo";
const repo: RepoLocation = { vcs: "git", url: git, root: "a.vanity.test/m", subdir: "" };
const page = "https://a.vanity.test/m";
const lacksWeb = lacks("openssl", ["version"]);

/** A discovery that reaches the web through its proxy, and nothing else. */
async function createWorld(options: Partial<DiscoveryOptions> = {}) {
  const authority = createAuthority();
  const web = await startVanityWeb(authority, authority.issue("DNS:*.vanity.test"));
  const clock = createFakeClock();
  const http = createHttpClient({
    ca: [authority.cert],
    egress: createEgress({ HTTPS_PROXY: web.proxy, HTTP_PROXY: web.proxy }),
    userAgent: "sluice-test",
    instanceId: "test",
  });
  onTestFinished(() => http.close());
  const discovery = createDiscovery({
    http,
    clock,
    probe: async () => false,
    isNamedHost: () => false,
    checkAddress: async () => undefined,
    ...options,
  });
  const find = (path: string, context: FetchContext = contextOf()): Promise<RepoLocation> =>
    discovery.find(parseModulePath(path), context);
  return { web, clock, http, find };
}

describe.skipIf(lacksWeb)("what a host said", () => {
  test("is asked once for any number of simultaneous modules of one repository", async () => {
    const { web, find } = await createWorld();
    const paths = Array.from({ length: 40 }, (_, index) => `a.vanity.test/m/sub${index}`);
    web.pages.set(page, tagged(`a.vanity.test/m git ${git}`));
    for (const path of paths) web.pages.set(`https://${path}`, tagged(`a.vanity.test/m git ${git}`));
    const found = await Promise.all([...paths, ...paths].map((path) => find(path)));
    expect(found).toEqual(found.map(() => repo));
    expect(web.asked).toHaveLength(41);
  });

  test("stays true while the host is down, however long ago it was", async () => {
    const { web, clock, find } = await createWorld();
    web.pages.set(page, tagged(`a.vanity.test/m git ${git}`));
    await find("a.vanity.test/m");
    web.down.add("a.vanity.test");
    clock.advance(1000 * defaultTimes.refreshMs);
    expect(await find("a.vanity.test/m")).toEqual(repo);
  });

  test("is not the last word when the host did not answer", async () => {
    const { web, find } = await createWorld();
    web.pages.set(page, tagged(`a.vanity.test/m git ${git}`));
    web.down.add("a.vanity.test");
    expect(await failureOf(find("a.vanity.test/m"))).toMatchObject({
      code: "upstream_failed",
      message: expect.stringMatching(/^looking for the repository of a\.vanity\.test\/m: a\.vanity\.test/),
    });
    web.down.clear();
    expect(await find("a.vanity.test/m")).toEqual(repo);
  });

  test("is asked for again when the host failed", async () => {
    const { web, find } = await createWorld();
    web.pages.set(page, { status: 503 });
    expect(await failureOf(find("a.vanity.test/m"))).toMatchObject({ code: "upstream_failed" });
    expect(web.asked).toHaveLength(3);
  });

  test("is asked for again when it does not fit to what was said before about the shorter prefix", async () => {
    const { web, clock, find } = await createWorld();
    web.pages.set(page, tagged("a.vanity.test/m git https://git.vanity.test/old"));
    await find("a.vanity.test/m");
    web.pages.set(page, tagged(`a.vanity.test/m git ${git}`));
    web.pages.set(`${page}/sub`, tagged(`a.vanity.test/m git ${git}`));
    // Within the time in which "nothing" counts it is not worth asking again.
    expect(await failureOf(find("a.vanity.test/m/sub"))).toMatchObject({ code: "not_found" });
    expect(web.asked).toHaveLength(2);
    clock.advance(defaultTimes.negativeMs + 1);
    expect(await find("a.vanity.test/m/sub")).toEqual(repo);
    expect(await find("a.vanity.test/m")).toEqual(repo);
  });

  test("that there is nothing is forgotten soon", async () => {
    const { web, clock, find } = await createWorld();
    expect(await failureOf(find("a.vanity.test/m"))).toMatchObject({ code: "not_found" });
    web.pages.set(page, tagged(`a.vanity.test/m git ${git}`));
    expect(await failureOf(find("a.vanity.test/m"))).toMatchObject({ code: "not_found" });
    clock.advance(defaultTimes.negativeMs);
    expect(await find("a.vanity.test/m")).toEqual(repo);
  });

  test("is not waited for by whoever went away", async () => {
    const { find } = await createWorld();
    expect(await failureOf(find("a.vanity.test/m", contextOf(AbortSignal.abort())))).toMatchObject({
      code: "cancelled",
    });
  });

  test("counts behind a head of any size, and is not looked for behind a megabyte", async () => {
    const { web, find } = await createWorld();
    const { body = "" } = tagged(`a.vanity.test/m git ${git}`);
    web.pages.set(page, { body: `${" ".repeat(1_000_000)}${body}${"x".repeat(4_000_000)}` });
    web.pages.set("https://b.vanity.test/m", { body: " ".repeat(1_100_000) + body.replace("a.van", "b.van") });
    expect(await find("a.vanity.test/m")).toEqual(repo);
    expect(await failureOf(find("b.vanity.test/m"))).toMatchObject({ code: "not_found" });
  });
});

describe.skipIf(lacksWeb)("a host that wants credentials", () => {
  test.each([401, 403])("by answering %d is never taken for one that has nothing", async (status) => {
    const { web, find } = await createWorld();
    web.pages.set(page, { status, body: "secret body" });
    const failure = await failureOf(find("a.vanity.test/m"));
    expect(failure).toMatchObject({ code: "upstream_refused", message: expect.stringContaining(`answered ${status}`) });
    expect(failure.message).not.toContain("secret body");
  });

  test("by a login page is never taken for one that has nothing, when it is one of ours", async () => {
    const { web, find } = await createWorld({ isNamedHost: (hostname) => hostname.endsWith(".vanity.test") });
    web.pages.set(page, { status: 302, headers: { location: "https://sso.vanity.test/login?token=secret" } });
    web.pages.set("https://sso.vanity.test/login", { body: "<html><head></head><body>Who are you?</body></html>" });
    const failure = await failureOf(find("a.vanity.test/m"));
    expect(failure).toMatchObject({ code: "upstream_refused", message: expect.stringContaining("login page") });
    expect(failure.message).not.toContain("secret");
  });

  test("gets those of the configuration, over https only", async () => {
    const asked: string[] = [];
    const { web, find } = await createWorld({
      insecurePatterns: "b.vanity.test",
      credentials: async (url) => {
        asked.push(url.origin);
        return { username: "me", password: "token" };
      },
    });
    web.pages.set(page, tagged(`a.vanity.test/m git ${git}`));
    web.pages.set("http://b.vanity.test/m", tagged(`b.vanity.test/m git ${git}`));
    web.down.add("https://b.vanity.test");
    await find("a.vanity.test/m");
    await find("b.vanity.test/m");
    expect(asked).toEqual(["https://a.vanity.test", "https://b.vanity.test"]);
    expect(web.authorization).toEqual([`Basic ${Buffer.from("me:token").toString("base64")}`, undefined]);
  });
});

describe.skipIf(lacksWeb)("a repository that is not git", () => {
  test.each([
    ["hg", "Mercurial"],
    ["svn", "Subversion"],
    ["bzr", "Bazaar"],
    ["fossil", "Fossil"],
  ])("but %s is refused in a clear sentence, as a tag and in a path", async (vcs, name) => {
    const { web, find } = await createWorld({ govcs: "*:all" });
    web.pages.set(page, tagged(`a.vanity.test/m ${vcs} https://hg.vanity.test/repo`));
    for (const path of ["a.vanity.test/m", `a.vanity.test/x.${vcs}/y`]) {
      const failure = await failureOf(find(path));
      expect(failure.code).toBe("upstream_refused");
      expect(failure.message).toMatch(new RegExp(`^${path}: its repository .* is in ${name} .* not supported; use `));
    }
  });
});

describe.skipIf(lacksWeb)("the configuration's table", () => {
  test("comes before paths that tell, and before meta tags", async () => {
    const { web, find } = await createWorld({
      govcs: "*:off",
      overrides: [
        { pattern: "github.com/corp/*", url: "ssh://git@git.corp/mirror/{path}" },
        { pattern: "a.vanity.test", url: "http://git.corp/mono.git", subdir: "go" },
      ],
    });
    expect([await find("github.com/corp/x/sub"), await find("a.vanity.test/m/v2")]).toEqual([
      { vcs: "git", url: "ssh://git@git.corp/mirror/corp/x", root: "github.com/corp/x", subdir: "" },
      { vcs: "git", url: "http://git.corp/mono.git", root: "a.vanity.test", subdir: "go" },
    ]);
    expect(web.asked).toEqual([]);
  });

  test("asks the git host which of the prefixes is a repository, and no web page", async () => {
    const probed: string[] = [];
    const { web, find } = await createWorld({
      overrides: [{ pattern: "git.corp/**", url: "ssh://git@git.corp/{path}.git" }],
      probe: async (url) => {
        probed.push(url);
        return url === "ssh://git@git.corp/group/team/repo.git";
      },
    });
    const location = { vcs: "git", url: "ssh://git@git.corp/group/team/repo.git", root: "git.corp/group/team/repo" };
    expect(await find("git.corp/group/team/repo/sub/v3")).toMatchObject(location);
    expect(await find("git.corp/group/team/repo")).toMatchObject(location);
    expect(probed).toHaveLength(3);
    expect(await failureOf(find("git.corp/group/other"))).toMatchObject({
      code: "not_found",
      message:
        'unrecognized import path "git.corp/group/other": no repository found at ssh://git@git.corp/group.git, ssh://git@git.corp/group/other.git',
    });
    expect(await failureOf(find("git.corp"))).toMatchObject({ code: "not_found" });
    expect(web.asked).toEqual([]);
  });

  test.each([
    ["git.corp/*", true],
    ["other.corp", false],
  ])("tells who probes whether the module is private: %s", async (privatePatterns, expected) => {
    const told: (boolean | undefined)[] = [];
    const { find } = await createWorld({
      overrides: [{ pattern: "git.corp/**", url: "https://git.corp/{path}.git" }],
      privatePatterns,
      probe: async (_, { isPrivate = false }) => {
        told.push(isPrivate);
        return true;
      },
    });
    await find("git.corp/team/lib");
    expect(new Set(told)).toEqual(new Set([expected]));
  });
});

describe("the guard of this network", () => {
  /** Without proxy: every name is an address of this machine, as a hostile DNS would have it. */
  async function createTrap(named: readonly string[] = []) {
    const asked: string[] = [];
    const server = await serveHttp((request, response) => {
      asked.push(request.url ?? "");
      const host = request.headers.host?.split(":")[0];
      response.end(tagged(`${host}/m git https://git.trap.test/repo`).body);
    });
    const dns = createDnsCache({ lookup: async () => [{ address: "127.0.0.1", family: 4 }] });
    const isNamedHost = createNamedHosts({ patterns: [], hosts: named });
    const discovery = createDiscovery({
      http: testClient({ dns }),
      clock: createFakeClock(),
      probe: async (url) => {
        asked.push(url);
        return true;
      },
      isNamedHost,
      checkAddress: createAddressGuard({ dns }),
      insecurePatterns: "insecure.test",
      overrides: [{ pattern: "*.test/*/*", url: "https://{host}/{path}" }],
      pages: { attempts: 1 },
    });
    const find = (path: string): Promise<RepoLocation> => discovery.find(parseModulePath(path), contextOf());
    return { asked, server, find };
  }

  test.each([
    "mirrored.test/m/n",
    "trap.test/m",
    "127.0.0.1/m",
    "169.254.169.254/latest",
    "0x7f.1/m",
    "insecure.test/m",
    "trap.test/x.git",
  ])("refuses %s, and nothing is sent", async (path) => {
    const { find, asked, server } = await createTrap();
    const failure = await failureOf(find(path));
    expect(failure).toMatchObject({
      code: "upstream_refused",
      message: expect.stringContaining("within this network"),
    });
    // Clients are not told what DNS says in here.
    const { hostname } = new URL(`https://${path}`);
    expect(failure.message.replaceAll(hostname, "")).not.toContain("127.0.0.1");
    expect([asked, server.connections]).toEqual([[], 0]);
  });

  test("lets a host through that the configuration names", async () => {
    const { find, asked } = await createTrap(["trap.test"]);
    expect(await find("trap.test/x.git")).toMatchObject({ url: "https://trap.test/x" });
    expect(asked).toEqual(["https://trap.test/x"]);
    // Its port 443 is not there, but it was tried.
    expect(await failureOf(find("trap.test/m"))).toMatchObject({ code: "upstream_failed" });
  });

  test.skipIf(lacksWeb)("refuses a remote within this network that a stranger's tag names", async () => {
    const dns = createDnsCache({ lookup: async () => [{ address: "10.1.2.3", family: 4 }] });
    const { web, find } = await createWorld({
      checkAddress: createAddressGuard({ dns }),
      isNamedHost: (hostname) => hostname === "named.test",
    });
    for (const [path, vcs, url] of [
      ["a", "git", "https://git.trap.test/repo"],
      ["b", "git", "ssh://git@10.0.0.1/repo"],
      ["c", "git", "https://[::1]/repo"],
      ["d", "mod", "https://mod.trap.test"],
      ["e", "git", "https://2130706433/repo"],
    ]) {
      web.pages.set(`https://a.vanity.test/${path}`, tagged(`a.vanity.test/${path} ${vcs} ${url}`));
      expect(await failureOf(find(`a.vanity.test/${path}`)), url).toMatchObject({ code: "upstream_refused" });
    }
    web.pages.set("https://a.vanity.test/f", tagged("a.vanity.test/f git https://named.test/repo"));
    expect(await find("a.vanity.test/f")).toMatchObject({ url: "https://named.test/repo" });
  });
});

describe.skipIf(lacksWeb)("a GOPROXY that a tag names", () => {
  test("answers for the whole module path, and only where its host may be asked", async () => {
    const { web, find, http, clock } = await createWorld();
    web.pages.set(page, tagged("a.vanity.test/m mod https://mod.vanity.test/base/"));
    web.pages.set("https://mod.vanity.test/base/a.vanity.test/m/@v/list", {
      headers: { "content-type": "text/plain" },
      body: "v1.0.0\n",
    });
    const location = await find("a.vanity.test/m");
    expect(location).toEqual({ vcs: "mod", url: "https://mod.vanity.test/base/", root: "a.vanity.test/m" });
    const shown: string[] = [];
    const sources = createModSources({
      http,
      clock,
      events: { emit: () => undefined },
      isNamedHost: () => false,
      credentials: async (_url, entitlement) => {
        shown.push(entitlement);
        return undefined;
      },
    });
    const source = sources.open(location.url, "none");
    expect(source.name).toBe("https://mod.vanity.test/base");
    expect(sources.open(location.url, "none")).toBe(source);
    expect((await fetchBytes(source, "a.vanity.test/m/@v/list")).toString()).toBe("v1.0.0\n");
    expect(await failureOf(fetchBytes(source, "a.vanity.test/m/@v/v1.0.0.mod"))).toMatchObject({ code: "not_found" });
    expect(new Set(shown)).toEqual(new Set(["none"]));
    const entitled = sources.open(location.url, "all");
    expect(entitled).not.toBe(source);
    await fetchBytes(entitled, "a.vanity.test/m/@v/list");
    expect(shown.at(-1)).toBe("all");
    const inside = sources.open("https://127.0.0.1/base", "none");
    expect(await failureOf(fetchBytes(inside, "a.vanity.test/m/@v/list"))).toMatchObject({ code: "upstream_refused" });
  });
});
