import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { isSluiceError } from "../../src/core/errors.ts";
import { createEgress } from "../../src/net/egress.ts";
import { parseModulePath } from "../../src/protocol/module/index.ts";
import { createDiscovery, type DiscoveryOptions } from "../../src/sources/git/discovery/discovery.ts";
import { moduleLayout } from "../../src/sources/git/resolve/layout.ts";
import { createAuthority } from "../support/certificates.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { createGoMachine } from "../support/go.ts";
import { testClient } from "../support/http-client.ts";
import { lacks } from "../support/needs.ts";
import { startVanityWeb, tagged, type VanityPage } from "../support/vanity-web.ts";

// The real go command and Sluice look for the same modules on the same web, through the same forward proxy, with a git that only
// tells what it was asked for.

interface Case {
  readonly name: string;
  readonly path: string;
  readonly pages?: Readonly<Record<string, VanityPage>>;
  readonly down?: readonly string[];
  /** Of both. */
  readonly env?: Readonly<Record<string, string>>;
  /** URLs at which git finds a repository. */
  readonly repositories?: readonly string[];
  /** `URL folder`, or the beginning of the code of Sluice's error. */
  readonly expected: string;
  /** What go finds, where Sluice is meant to find something else. */
  readonly go?: string;
}

const folders = ["", "b", "b/c", "sub", "sub/dir", "b/sub/dir", "sub/b"];
const git = "https://git.vanity.test/repo";
const web = "https://a.vanity.test";

const cases: readonly Case[] = [
  {
    name: "a tag for the path itself",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`) },
    expected: `${git} .`,
  },
  {
    name: "a host without path",
    path: "a.vanity.test",
    pages: { [`${web}/`]: tagged(`a.vanity.test git ${git}`) },
    expected: `${git} .`,
  },
  {
    name: "a tag on a page that says 404",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: { ...tagged(`a.vanity.test/m git ${git}`), status: 404 } },
    expected: `${git} .`,
  },
  {
    name: "a shorter prefix that its own page confirms",
    path: "a.vanity.test/m/b/c",
    pages: {
      [`${web}/m/b/c`]: tagged(`a.vanity.test/m git ${git}`),
      [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`),
    },
    expected: `${git} b/c`,
  },
  {
    name: "a shorter prefix that its own page denies",
    path: "a.vanity.test/m/b",
    pages: {
      [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git}`),
      [`${web}/m`]: tagged("a.vanity.test/m git https://git.vanity.test/other"),
    },
    expected: "not_found",
  },
  {
    name: "a shorter prefix confirmed but for the folder",
    path: "a.vanity.test/m/b",
    pages: {
      [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git} sub`),
      [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`),
    },
    expected: "not_found",
  },
  {
    name: "a shorter prefix whose page has no tags",
    path: "a.vanity.test/m/b",
    pages: { [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git}`), [`${web}/m`]: tagged() },
    expected: "not_found",
  },
  {
    name: "a shorter prefix whose page is 404",
    path: "a.vanity.test/m/b",
    pages: { [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git}`) },
    expected: "not_found",
  },
  {
    name: "a shorter prefix whose page is no markup",
    path: "a.vanity.test/m/b",
    pages: { [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git}`), [`${web}/m`]: { body: "\n<a href=/x>" } },
    expected: "not_found",
  },
  {
    name: "a prefix that ends with a slash",
    path: "a.vanity.test/m/b",
    pages: {
      [`${web}/m/b`]: tagged(`a.vanity.test/m/ git ${git}`),
      [`${web}/m/`]: tagged(`a.vanity.test/m/ git ${git}`),
    },
    expected: `${git} b`,
  },
  {
    name: "a folder in the tag",
    path: "a.vanity.test/m/b",
    pages: {
      [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git} sub/dir`),
      [`${web}/m`]: tagged(`a.vanity.test/m git ${git} sub/dir`),
    },
    expected: `${git} b/sub/dir`,
  },
  {
    name: "a folder written with too many slashes",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git} sub//dir/`) },
    expected: `${git} sub/dir`,
  },
  {
    name: "a folder that begins with a slash",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git} /sub`) },
    expected: "not_found",
  },
  {
    name: "a folder that begins with a hyphen",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git} -sub`) },
    expected: "not_found",
  },
  {
    name: "the path's own major version as root",
    path: "a.vanity.test/m/v2",
    pages: { [`${web}/m/v2`]: tagged(`a.vanity.test/m/v2 git ${git} sub`) },
    expected: `${git} sub`,
  },
  {
    name: "a major version below the root",
    path: "a.vanity.test/m/b/v2",
    pages: {
      [`${web}/m/b/v2`]: tagged(`a.vanity.test/m git ${git}`),
      [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`),
    },
    expected: `${git} b`,
  },
  {
    name: "two tags that match",
    path: "a.vanity.test/m/b",
    pages: { [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git}`, `a.vanity.test/m/b git ${git}`) },
    expected: "not_found",
  },
  {
    name: "the same prefix with and without a folder",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`, `a.vanity.test/m git ${git} sub`) },
    expected: "not_found",
  },
  {
    name: "tags for other paths",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/n git ${git}`, `a.vanity.test/mm git ${git}`) },
    expected: "not_found",
  },
  { name: "a page without tags", path: "a.vanity.test/m", pages: { [`${web}/m`]: tagged() }, expected: "not_found" },
  {
    name: "a page that is no markup",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: { body: "<p>\n1 < 2</p>" } },
    expected: "not_found",
  },
  { name: "no page", path: "a.vanity.test/m", expected: "not_found" },
  {
    name: "a page that is gone",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: { status: 410 } },
    expected: "not_found",
  },
  {
    name: "an unknown system",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m cvs ${git}`) },
    expected: "not_found",
  },
  ...["", "git.vanity.test/repo", "http#://x", "-config", "-config://x", "file:///srv/repo", ":x", "1http://x"].map(
    (remote) => ({
      name: `the remote ${JSON.stringify(remote)}`,
      path: "a.vanity.test/m",
      pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${remote}`) },
      expected: "not_found",
    }),
  ),
  {
    name: "a remote for ssh",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged("a.vanity.test/m git ssh://git@git.vanity.test:2222/repo.git") },
    expected: "ssh://git@git.vanity.test:2222/repo.git .",
  },
  {
    name: "a remote in scp's way",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged("a.vanity.test/m git server:path/to/repo.git") },
    expected: "not_found",
  },
  {
    name: "a mod entry before a git entry",
    path: "a.vanity.test/m",
    pages: {
      [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`, "a.vanity.test/m mod https://mod.vanity.test/base"),
      "https://mod.vanity.test/base/a.vanity.test/m/@v/list": { body: "v1.9.0\n" },
    },
    expected: "mod https://mod.vanity.test/base",
  },
  {
    name: "a mod entry for a part of a git entry",
    path: "a.vanity.test/b/c",
    pages: {
      [`${web}/b/c`]: tagged(`a.vanity.test git ${git}`, "a.vanity.test/b mod https://mod.vanity.test"),
      [`${web}/b`]: tagged(`a.vanity.test git ${git}`, "a.vanity.test/b mod https://mod.vanity.test"),
      "https://mod.vanity.test/a.vanity.test/b/c/@v/list": { body: "v1.9.0\n" },
    },
    expected: "mod https://mod.vanity.test",
  },
  {
    name: "a git entry beside a mod entry",
    path: "a.vanity.test/b",
    pages: {
      [`${web}/b`]: tagged(`a.vanity.test git ${git}`, "a.vanity.test/c mod https://mod.vanity.test"),
      [`${web}/`]: tagged(`a.vanity.test git ${git}`, "a.vanity.test/c mod https://mod.vanity.test"),
    },
    expected: `${git} b`,
  },
  {
    name: "a redirect that keeps go-get=1",
    path: "a.vanity.test/m",
    pages: {
      [`${web}/m`]: { status: 302, headers: { location: "https://b.vanity.test/there?go-get=1" } },
      "https://b.vanity.test/there": tagged(`a.vanity.test/m git ${git}`),
    },
    expected: `${git} .`,
  },
  {
    name: "a redirect that drops go-get=1",
    path: "a.vanity.test/m",
    pages: {
      [`${web}/m`]: { status: 301, headers: { location: "/there" } },
      [`${web}/there`]: tagged(`a.vanity.test/m git ${git}`),
    },
    expected: `${git} .`,
  },
  {
    name: "a redirect from https to http",
    path: "a.vanity.test/m",
    pages: {
      [`${web}/m`]: { status: 302, headers: { location: "http://a.vanity.test/m?go-get=1" } },
      "http://a.vanity.test/m": tagged(`a.vanity.test/m git ${git}`),
    },
    expected: "upstream_invalid",
  },
  {
    name: "an endless redirect",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: { status: 302, headers: { location: "/m?go-get=1" } } },
    expected: "upstream_invalid",
  },
  { name: "a host that is down", path: "a.vanity.test/m", down: ["a.vanity.test"], expected: "upstream_failed" },
  {
    name: "a host that fails",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: { status: 503 } },
    expected: "upstream_failed",
  },
  {
    name: "a host that is down for the shorter prefix",
    path: "a.vanity.test/m/b",
    pages: { [`${web}/m/b`]: tagged(`a.vanity.test/m git ${git}`), [`${web}/m`]: { status: 500 } },
    expected: "upstream_failed",
  },
  {
    name: "http where https is down, and GOINSECURE",
    path: "a.vanity.test/m",
    pages: { "http://a.vanity.test/m": tagged("a.vanity.test/m git http://git.vanity.test/repo") },
    down: [web],
    env: { GOINSECURE: "*.vanity.test" },
    expected: "http://git.vanity.test/repo .",
  },
  {
    name: "http where https is down, without GOINSECURE",
    path: "a.vanity.test/m",
    pages: { "http://a.vanity.test/m": tagged(`a.vanity.test/m git ${git}`) },
    down: [web],
    env: { GOINSECURE: "other.vanity.test" },
    expected: "upstream_failed",
  },
  {
    name: "a certificate nobody trusts",
    path: "selfsigned.vanity.test/m",
    pages: { "https://selfsigned.vanity.test/m": tagged(`selfsigned.vanity.test/m git ${git}`) },
    expected: "upstream_failed",
  },
  {
    name: "a certificate nobody trusts, and GOINSECURE",
    path: "selfsigned.vanity.test/m",
    pages: { "https://selfsigned.vanity.test/m": tagged(`selfsigned.vanity.test/m git ${git}`) },
    env: { GOINSECURE: "selfsigned.vanity.test" },
    expected: `${git} .`,
  },
  {
    name: "a redirect from https to http, and GOINSECURE",
    path: "a.vanity.test/m",
    pages: {
      [`${web}/m`]: { status: 302, headers: { location: "http://a.vanity.test/m?go-get=1" } },
      "http://a.vanity.test/m": tagged(`a.vanity.test/m git ${git}`),
    },
    env: { GOINSECURE: "a.vanity.test" },
    expected: `${git} .`,
  },
  {
    name: "GOVCS off",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`) },
    env: { GOVCS: "a.vanity.test:off" },
    expected: "upstream_refused",
  },
  {
    name: "GOVCS for private modules only",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git}`) },
    env: { GOVCS: "public:off,private:git", GOPRIVATE: "a.vanity.test" },
    expected: `${git} .`,
  },
  {
    name: "GOVCS, which has no say in mod entries",
    path: "a.vanity.test/m",
    pages: {
      [`${web}/m`]: tagged("a.vanity.test/m mod https://mod.vanity.test"),
      "https://mod.vanity.test/a.vanity.test/m/@v/list": { body: "v1.9.0\n" },
    },
    env: { GOVCS: "*:off" },
    expected: "mod https://mod.vanity.test",
  },
  { name: "Subversion", path: "a.vanity.test/x.svn/y", expected: "upstream_refused" },
  {
    name: "a .git in the path",
    path: "a.vanity.test/x/repo.git/sub",
    repositories: ["https://a.vanity.test/x/repo"],
    expected: "https://a.vanity.test/x/repo sub",
  },
  {
    name: "a .git in the path that is http, and GOINSECURE",
    path: "a.vanity.test/x/repo.git",
    repositories: ["http://a.vanity.test/x/repo"],
    env: { GOINSECURE: "a.vanity.test" },
    expected: "http://a.vanity.test/x/repo .",
  },
  {
    name: "a .git in the path that is http, without GOINSECURE",
    path: "a.vanity.test/x/repo.git",
    repositories: ["http://a.vanity.test/x/repo"],
    expected: "not_found",
  },
  { name: "a .git in the path that is nowhere", path: "a.vanity.test/x/repo.git", expected: "not_found" },
  {
    name: "a .git behind an odd tilde",
    path: "a.vanity.test/a~b.c/x.git",
    repositories: ["https://b.c/x"],
    expected: "not_found",
  },
  {
    name: "GitHub",
    path: "github.com/a/b/sub",
    repositories: ["https://github.com/a/b"],
    expected: "https://github.com/a/b sub",
  },
  { name: "GitHub without repository", path: "github.com/a", expected: "not_found" },
  { name: "GitHub with .git", path: "github.com/a/b.git", expected: "not_found" },
  { name: "GitHub with a tilde", path: "github.com/a/b/~c", expected: "not_found" },
  {
    name: "Bitbucket",
    path: "bitbucket.org/a/b",
    repositories: ["https://bitbucket.org/a/b"],
    expected: "https://bitbucket.org/a/b .",
  },
  {
    name: "Apache",
    path: "git.apache.org/package-name_2.x.git/sub",
    repositories: ["https://git.apache.org/package-name_2.x.git"],
    expected: "https://git.apache.org/package-name_2.x.git sub",
  },
  {
    name: "OpenStack",
    path: "git.openstack.org/openstack/swift.git/sub",
    repositories: ["https://git.openstack.org/openstack/swift.git"],
    expected: "https://git.openstack.org/openstack/swift.git sub",
  },
  { name: "chiselapp.com", path: "chiselapp.com/user/kyle/repository/fossilgg", expected: "upstream_refused" },
  { name: "example.net", path: "example.net/m", expected: "not_found" },
  { name: "rsc.io", path: "rsc.io", expected: "not_found" },
  // Where Sluice is stricter than go.
  {
    name: "a remote without encryption",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged("a.vanity.test/m git http://git.vanity.test/repo") },
    expected: "upstream_refused",
    go: "http://git.vanity.test/repo .",
  },
  {
    name: "a remote with a password",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged("a.vanity.test/m git https://me:secret@git.vanity.test/repo") },
    expected: "upstream_refused",
    go: "https://me:secret@git.vanity.test/repo .",
  },
  {
    name: "a folder outside of the repository",
    path: "a.vanity.test/m",
    pages: { [`${web}/m`]: tagged(`a.vanity.test/m git ${git} sub/../../x`) },
    expected: "not_found",
    go: "nothing",
  },
];

interface World {
  go(entry: Case): Promise<{ readonly found: string; readonly stderr: string }>;
  sluice(entry: Case): Promise<{ readonly found: string; readonly message: string }>;
  /** The pages that were asked for since the last time. (go asks once more for those that say 4xx.) */
  takeAsked(): readonly string[];
}

describe.skipIf(lacks("go", ["version"]) || lacks("openssl", ["version"]))(
  "discovery, as the go command does it",
  () => {
    test.each(cases)("$name", async (entry) => {
      const world = await createWorld(entry);
      const go = await world.go(entry);
      const asked = world.takeAsked();
      const sluice = await world.sluice(entry);
      expect(sluice.found, sluice.message).toBe(entry.expected);
      expect(world.takeAsked()).toEqual(asked);
      const isFound = entry.expected.includes(" ");
      expect(go.found, go.stderr).toBe(entry.go ?? (isFound ? entry.expected : "nothing"));
      // Outages are reported in our own words, as are systems that are not supported.
      const wording = sluice.found === "not_found" && entry.go === undefined ? sluice.message : "";
      expect(go.stderr).toContain(wording);
    });
  },
);

async function createWorld({ pages = {}, down = [], env = {}, repositories = [] }: Case): Promise<World> {
  const authority = createAuthority();
  const web = await startVanityWeb(authority, createAuthority().issue("DNS:*.vanity.test"));
  for (const [url, page] of Object.entries(pages)) web.pages.set(url, page);
  for (const name of down) web.down.add(name);
  const folder = await mkdtemp(join(tmpdir(), "sluice-discovery-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return {
    takeAsked() {
      const pagesOnly = web.asked.splice(0).filter((url) => !url.includes("/@v/"));
      return [...new Set(pagesOnly)].sort();
    },
    async go({ path }) {
      const log = join(folder, "git.log");
      await writeFile(log, "");
      await writeFile(join(folder, "ca.pem"), authority.cert);
      await installGit(join(folder, "bin"), log, repositories);
      const machine = await createGoMachine({
        PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
        GOPROXY: "direct",
        HTTPS_PROXY: web.proxy,
        HTTP_PROXY: web.proxy,
        SSL_CERT_FILE: join(folder, "ca.pem"),
        ...env,
      });
      onTestFinished(() => machine.remove());
      await writeFile(join(machine.dir, "go.mod"), "module main.test/m\n\ngo 1.21\n");
      const { stdout, stderr } = await machine.go(["list", "-m", "-retracted", "-versions", path]);
      const version = stdout.trim().split(" ")[1];
      if (version === undefined) return { found: "nothing", stderr };
      if (version === "v1.9.0") {
        const list = web.asked.find((url) => url.endsWith("/@v/list"));
        return { found: `mod ${list?.replace(`/${path}/@v/list`, "")}`, stderr };
      }
      const remote = (await readFile(log, "utf8")).trim().split("\n").at(-1);
      const index = folders[Number(version.split(".").at(-1))];
      return { found: `${remote} ${index === "" ? "." : index}`, stderr };
    },
    async sluice({ path }) {
      const http = testClient({
        ca: [authority.cert],
        egress: createEgress({ HTTPS_PROXY: web.proxy, HTTP_PROXY: web.proxy }),
      });
      const options: DiscoveryOptions = {
        http,
        clock: createFakeClock(),
        probe: async (url) => repositories.includes(url),
        isNamedHost: () => true,
        checkAddress: async () => undefined,
        govcs: env["GOVCS"],
        privatePatterns: env["GOPRIVATE"],
        insecurePatterns: env["GOINSECURE"],
        pages: { attempts: 1 },
      };
      const modulePath = parseModulePath(path);
      const context = { signal: new AbortController().signal, client: "test" };
      try {
        const location = await createDiscovery(options).find(modulePath, context);
        if (location.vcs === "mod") return { found: `mod ${location.url}`, message: "" };
        const { codeDir } = moduleLayout(modulePath, location);
        return { found: `${location.url} ${codeDir === "" ? "." : codeDir}`, message: "" };
      } catch (error) {
        if (!isSluiceError(error)) throw error;
        return { found: error.code, message: error.message };
      }
    },
  };
}

/** A `git` that has a repository for every remote but says yes to `ls-remote` only for some, and notes every remote. */
async function installGit(folder: string, log: string, repositories: readonly string[]): Promise<void> {
  const tags = folders.flatMap((name, index) => {
    const prefix = name === "" ? "" : `${name}/`;
    const versions = [`v1.0.${index}`, ...(name === "" ? [] : [`v2.0.${index}`])];
    return versions.map((version) => `printf '%040d\\trefs/tags/%s\\n' 1 '${prefix}${version}'`);
  });
  const script = `#!/bin/sh
for last; do :; done
case "$*" in
  "version"|"--version") echo "git version 2.39.5" ;;
  *"ls-remote -q --end-of-options"*)
    case "$last" in *:*) echo "$last" >> '${log}' ;; esac
    ${tags.join("\n    ")} ;;
  *"ls-remote"*)
    case "$last" in
      ${["-", ...repositories].map((url) => `'${url}'`).join("|")}) ;;
      *) exit 128 ;;
    esac ;;
  *"init"*|*"config"*|*"remote add"*) ;;
  *) exit 1 ;;
esac
`;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "git"), script);
  await chmod(join(folder, "git"), 0o755);
}
