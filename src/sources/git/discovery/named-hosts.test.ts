import { expect, test } from "vitest";
import { createNamedHosts } from "./named-hosts.ts";

const isNamed = createNamedHosts({
  patterns: ["git.corp/team,*.Internal.example", "*,?.*,none,/x,[broken/y"],
  hosts: ["10.0.0.7", "fd00::7", "forge-*.lan"],
});

test.each([
  ["git.corp", true],
  ["GIT.CORP.", true],
  ["a.internal.example", true],
  ["10.0.0.7", true],
  ["[fd00::7]", true],
  ["forge-2.lan", true],
  ["a.git.corp", false],
  ["internal.example", false],
  ["localhost", false],
  ["169.254.169.254", false],
  ["", false],
])("%s is named by the configuration: %s", (hostname, expected) => {
  expect(isNamed(hostname)).toBe(expected);
});
