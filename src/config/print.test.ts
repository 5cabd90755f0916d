import { expect, it } from "vitest";
import { load } from "../../test/support/config.ts";
import { printConfig } from "./print.ts";

it("shows every value with its origin", () => {
  const printed = printConfig(
    load({
      file: '[freshness]\nttl = "5s"\n',
      env: { SLUICE_LISTEN: ":8080", GOPRIVATE: "corp.example.com" },
      flags: { chain: "https://a.example.com|https://b.example.com,direct" },
    }),
  );
  expect(printed.split("\n").filter((line) => line !== "" && !line.includes("# default"))).toStrictEqual([
    "[server]",
    'listen = ":8080"            # env SLUICE_LISTEN',
    "[store]",
    "[freshness]",
    'ttl = "5s"                      # conf/sluice.toml:2',
    "[fetch]",
    "[upstream]",
    'chain = "https://a.example.com|https://b.example.com,direct"  # --chain',
    'private = "corp.example.com"                                  # env GOPRIVATE',
    'no_proxy = "corp.example.com"                                 # env GOPRIVATE',
    "[git]",
    "[database]",
    "[sumdb]",
    'no_verify = "corp.example.com"  # env GOPRIVATE',
    "[access]",
    "[limits]",
    "[redis]",
    "[admin]",
    "[drill]",
    "[log]",
  ]);
});

it("shows no secret, wherever it came from", () => {
  const loaded = load({
    file: '[[upstream.override]]\nurl = "https://a.example.com"\nusername = "me"\npassword_file = "token"\n[[upstream.override]]\nurl = "https://b.example.com"\npassword_env = "TOKEN"\n',
    env: {
      GOPROXY: "https://a.example.com,https://b.example.com|https://user:hunter2@c.example.com/?key=hunter2,off",
      TOKEN: "hunter2",
    },
    files: { "/srv/app/conf/token": "hunter2\n" },
  });
  const printed = printConfig(loaded);
  expect(printed).not.toContain("hunter2");
  expect(printed).toContain('password_file = "token"');
  expect(printed).toContain('chain = "https://a.example.com,https://b.example.com|https://c.example.com,off"');
});

it("shows where repositories are", () => {
  const override = '[[git.override]]\npattern = "git.corp/**"\nurl = "ssh://git@git.corp/{path}.git"\nsubdir = "go"\n';
  const printed = printConfig(load({ file: override }));
  expect(printed).toContain(override.replace("\n", "  # conf/sluice.toml:1\n"));
});

it("shows the chain of a route without its passwords", () => {
  const file = '[[upstream.route]]\npatterns = "a.com"\nchain = "https://me:hunter2@a.com"\n';
  const printed = printConfig(load({ file }));
  expect(printed).toContain('chain = "https://a.com"');
  expect(printed).not.toContain("hunter2");
});
