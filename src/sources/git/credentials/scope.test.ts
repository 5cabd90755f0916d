import { describe, expect, it } from "vitest";
import type { CredentialSpec } from "./credential.ts";
import { isInScope } from "./scope.ts";

const token: CredentialSpec = { kind: "basic", username: "u", password: { kind: "env", name: "T" } };
const ssh: CredentialSpec = { kind: "ssh", key: { kind: "env", name: "K" }, knownHostsFile: "/k" };

const cases: readonly (readonly [rule: string, remote: string | undefined, url: string, isIn: boolean])[] = [
  ["github.com/acme/*", undefined, "https://github.com/acme/lib", true],
  ["github.com/acme/*", undefined, "https://github.com/acme/lib.git/info/refs", true],
  ["github.com/acme", undefined, "https://github.com/acme/lib.git", true],
  ["github.com/acme/lib", undefined, "https://github.com/acme/lib.git", true],
  ["github.com/acme", undefined, "https://GITHUB.com/acme/lib", true],
  ["github.com/acme", undefined, "https://github.com/acme-evil/lib", false],
  ["github.com/acme", undefined, "https://github.com.evil.example/acme/lib", false],
  ["github.com/acme", undefined, "https://evil.example/github.com/acme", false],
  ["github.com/acme", undefined, "https://github.com/acme/..%2fother/lib", false],
  ["github.com/acme", undefined, "https://github.com:8443/acme/lib", false],
  ["github.com/acme", undefined, "http://github.com/acme/lib", false],
  ["github.com/acme", undefined, "ssh://git@github.com/acme/lib", false],
  ["*.corp.example", undefined, "https://git.corp.example/a", true],
  ["go.corp.example", "https://git.corp.example/go/", "https://git.corp.example/go/lib.git", true],
  ["go.corp.example", "https://git.corp.example/go/", "https://git.corp.example/golang/lib.git", false],
  ["go.corp.example", "https://git.corp.example/go/", "http://git.corp.example/go/lib.git", false],
  ["go.corp.example", "https://git.corp.example/go/", "https://git.corp.example:444/go/lib.git", false],
  ["go.corp.example", "https://git.corp.example/go/", "https://go.corp.example/lib?go-get=1", true],
  ["go.corp.example", "https://git.corp.example/mono.git", "https://git.corp.example/mono.git", true],
  ["go.corp.example", "http://git.corp.example:8080/", "http://git.corp.example:8080/lib.git", true],
  ["go.corp.example", "ssh://git@git.corp.example:2222/", "ssh://git@git.corp.example:2222/a/b.git", true],
  ["go.corp.example", "ssh://git@git.corp.example:2222/", "git+ssh://git@git.corp.example:2222/a/b.git", true],
  ["go.corp.example", "ssh://git@git.corp.example:2222/", "ssh://git@git.corp.example/a/b.git", false],
  ["go.corp.example", "ssh://git@git.corp.example:2222/", "https://git.corp.example:2222/a/b.git", false],
];

describe("a credential is shown to the hosts and paths of its rule only", () => {
  it.each(cases)("%s %s: %s", (patterns, remote, url, isIn) => {
    const isOfSsh = remote?.startsWith("ssh:") === true;
    const rule = {
      name: "rule",
      patterns,
      remote: remote === undefined ? undefined : new URL(remote),
      credential: isOfSsh ? ssh : token,
    };
    expect(isInScope(rule, new URL(url))).toBe(isIn);
  });
});
