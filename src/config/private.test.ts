import { describe, expect, it } from "vitest";
import { load, type Input } from "../../test/support/config.ts";
import type { PrivateModules } from "./private.ts";
import { printConfig } from "./print.ts";

const surroundings = {
  env: { TOKEN: "hunter2", GOPRIVATE: "*.corp.example" },
  files: { "/srv/app/conf/known_hosts": "host key", "/srv/app/conf/key": "hunter2" },
};

function read(file: string, more: Input = {}): PrivateModules {
  return load({ file, ...surroundings, ...more }).config.privateModules;
}

it("GOPRIVATE alone is a rule without credential", () => {
  expect(read("")).toStrictEqual({
    patterns: "*.corp.example",
    hosts: [],
    overrides: [],
    credentials: [],
    authorities: [],
  });
});

const ssh = 'credential = { kind = "ssh", file = "key", known_hosts = "known_hosts" }';

describe("where modules are", () => {
  it.each<[rule: string, patterns: string, overrides: readonly [pattern: string, url: string][]]>([
    ['pattern = "github.com/acme/*"\ncredential = { env = "TOKEN" }', "github.com/acme/*", []],
    [`pattern = "github.com/acme"\n${ssh}`, "github.com/acme", [["github.com/acme/*", "ssh://git@{host}/{path}.git"]]],
    [
      `pattern = "github.com/acme/lib"\n${ssh}`,
      "github.com/acme/lib",
      [["github.com/acme/lib", "ssh://git@{host}/{path}.git"]],
    ],
    [
      `pattern = "git.acme.example"\n${ssh}`,
      "git.acme.example",
      [["git.acme.example/**", "ssh://git@{host}/{path}.git"]],
    ],
    [
      'pattern = "go.acme.example/*,go.acme.org/x/**"\nhost = "git.acme.example:8443"',
      "go.acme.example/*,go.acme.org/x",
      [
        ["go.acme.example/*", "https://git.acme.example:8443/{path}.git"],
        ["go.acme.org/x/**", "https://git.acme.example:8443/{path}.git"],
      ],
    ],
    [
      'pattern = "go.acme.example"\nurl = "https://git.acme.example/mono.git"',
      "go.acme.example",
      [["go.acme.example", "https://git.acme.example/mono.git"]],
    ],
  ])("%s", (rule, patterns, overrides) => {
    const modules = read(`[[private]]\n${rule}`);
    expect(modules.patterns).toBe(`*.corp.example,${patterns}`);
    expect(modules.overrides).toEqual(overrides.map(([pattern, url]) => ({ pattern, url })));
  });
});

it("credentials know where their secret is and which hosts may see it, the first rule first", () => {
  const { credentials, hosts } = read(
    `[[private]]
pattern = "*/vanity,go.acme.example"
url = "https://git.acme.example:8443/go/{path}.git"
credential = { kind = "password", username = "me", file = "key" }
[[private]]
pattern = "github.com/acme/*"
credential = { kind = "github_app", app_id = 7, installation_id = 42, command = ["vault", "read"] }
[[private]]
pattern = "git.acme.example/**"
${ssh}`,
  );
  expect(hosts).toEqual(["git.acme.example"]);
  expect(credentials).toStrictEqual([
    {
      name: "[[private]] */vanity,go.acme.example",
      patterns: "go.acme.example",
      remote: new URL("https://git.acme.example:8443/go/"),
      credential: { kind: "basic", username: "me", password: { kind: "file", file: "/srv/app/conf/key" } },
    },
    {
      name: "[[private]] github.com/acme/*",
      patterns: "github.com/acme/*",
      remote: undefined,
      credential: {
        kind: "github-app",
        appId: "7",
        installationId: "42",
        key: { kind: "command", command: ["vault", "read"] },
        apiUrl: "https://api.github.com",
      },
    },
    {
      name: "[[private]] git.acme.example/**",
      patterns: "git.acme.example",
      remote: undefined,
      credential: {
        kind: "ssh",
        key: { kind: "file", file: "/srv/app/conf/key" },
        knownHostsFile: "/srv/app/conf/known_hosts",
      },
    },
  ]);
});

it("the environment can have them all", () => {
  const modules = load({
    env: { SLUICE_PRIVATE: '[{ pattern = "a.example", credential = { env = "T" } }]', T: "hunter2" },
  });
  expect(modules.config.privateModules.credentials).toMatchObject([{ patterns: "a.example" }]);
});

it("printing shows where a secret is and never what it is", () => {
  const file = `[[private]]
pattern = "a.example"
credential = { command = ["vault", "hunter2"], username = "me" }
[[private]]
pattern = "b.example"
credential = { env = "TOKEN" }`;
  const printed = printConfig(load({ file, ...surroundings }));
  expect(printed).toContain(`[[private]]  # conf/sluice.toml:1
pattern = "a.example"
credential = { command = ["vault","[hidden]"], username = "me" }

[[private]]  # conf/sluice.toml:1
pattern = "b.example"
credential = { env = "TOKEN" }
`);
  expect(printed).not.toContain("hunter2");
});
