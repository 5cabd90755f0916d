import { expect, it } from "vitest";
import { load } from "../../test/support/config.ts";
import { overrideHosts } from "./git-overrides.ts";

const file = `[[git.override]]
pattern = "git.corp/**"
url = "ssh://git@git.corp:2222/{path}.git"
[[git.override]]
pattern = "go.corp.example/*"
url = "https://git.corp.example/mono.git"
root = "go.corp.example"
subdir = "go"
`;

it("reads the table, which makes no module private", () => {
  const { git, privateModules } = load({ file }).config;
  expect(git.overrides).toEqual([
    { pattern: "git.corp/**", url: "ssh://git@git.corp:2222/{path}.git" },
    {
      pattern: "go.corp.example/*",
      url: "https://git.corp.example/mono.git",
      root: "go.corp.example",
      subdir: "go",
    },
  ]);
  expect(privateModules).toMatchObject({ patterns: "", overrides: [], hosts: [] });
});

it("reads it from the environment", () => {
  const env = { SLUICE_GIT_OVERRIDE: '[{ pattern = "git.corp/**", url = "ssh://git@git.corp/{path}.git" }]' };
  expect(load({ env }).config.git.overrides).toEqual([
    { pattern: "git.corp/**", url: "ssh://git@git.corp/{path}.git" },
  ]);
});

it.each([
  ["git.corp/**", "ssh://git@git.corp:2222/{path}.git", ["git.corp"]],
  ["go.corp.example/*", "https://[fd00::1]/mono.git", ["fd00::1"]],
  ["git.corp/**", "ssh://git@{host}/{path}.git", ["git.corp"]],
  ["*.corp.example/**", "ssh://git@{host}/{path}.git", ["*.corp.example"]],
  // Clients would choose the host.
  ["*/team/**", "ssh://git@{host}/{path}.git", []],
  ["*.example/**", "ssh://git@{host}/{path}.git", []],
])("%s at %s names the hosts %j", (pattern, url, hosts) => {
  expect(overrideHosts([{ pattern, url }])).toEqual(hosts);
});
