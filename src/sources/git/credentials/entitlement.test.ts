import { expect, test } from "vitest";
import { createEntitlements } from "./entitlement.ts";

const entitlementOf = createEntitlements({
  privatePatterns: "git.corp.example/team,go.corp.example/*",
  overrides: [
    { pattern: "tools.example/*", url: "https://git.corp.example/tools/{path}.git" },
    { pattern: "*.foreign.example/*", url: "https://{host}/{path}.git" },
  ],
});

test.each([
  ["git.corp.example/team/lib", "https://git.corp.example/team/lib", "all"],
  ["go.corp.example/lib/v2", "https://git.corp.example/team/lib", "all"],
  ["tools.example/x", "https://git.corp.example/tools/x.git", "all"],
  // A stranger's page names our host.
  ["stranger.example/x", "https://git.corp.example/team/lib", "none"],
  ["stranger.example/x", "ssh://git@git.corp.example/team/lib", "none"],
  ["git.corp.example.stranger.example/team/lib", "https://git.corp.example/team/lib", "none"],
  // What stands above a rule is not of it.
  ["git.corp.example", "https://git.corp.example", "netrc"],
  // The client names the host, and no rule is about the path.
  ["git.corp.example/other", "https://git.corp.example/other", "netrc"],
  ["a.foreign.example/x", "https://a.foreign.example/x.git", "netrc"],
  ["git.corp.example/other", "https://git.corp.example:8443/other", "netrc"],
  ["github.com/acme/lib", "https://github.com/acme/lib", "netrc"],
])("%s at %s: %s", (modulePath, remote, expected) => {
  expect(entitlementOf(modulePath, remote)).toBe(expected);
});
