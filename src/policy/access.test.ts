import { describe, expect, it } from "vitest";
import { type AccessRules, createAccess } from "./access.ts";

const open: AccessRules = { allowNetworks: [], denyNetworks: [], allowModules: "", denyModules: "", contact: "" };

describe("a client", () => {
  it.each([
    [{}, "192.0.2.1", undefined],
    [{}, "", undefined],
    [{ denyNetworks: ["192.0.2.0/24"] }, "192.0.2.1", "deny_networks"],
    [{ denyNetworks: ["192.0.2.0/24"] }, "192.0.3.1", undefined],
    [{ denyNetworks: ["2001:db8::/32"] }, "2001:db8:1::1", "deny_networks"],
    [{ allowNetworks: ["10.0.0.0/8", "::1"] }, "10.9.9.9", undefined],
    [{ allowNetworks: ["10.0.0.0/8", "::1"] }, "::1", undefined],
    [{ allowNetworks: ["10.0.0.0/8"] }, "11.0.0.1", "allow_networks"],
    [{ allowNetworks: ["10.0.0.0/8"] }, "::1", "allow_networks"],
    [{ allowNetworks: ["0.0.0.0/0"] }, "", "allow_networks"],
    [{ allowNetworks: ["10.0.0.0/8"], denyNetworks: ["10.1.0.0/16"] }, "10.1.2.3", "deny_networks"],
  ] satisfies [Partial<AccessRules>, string, string | undefined][])("with %j, %s: %s", (rules, address, rule) => {
    expect(createAccess({ ...open, ...rules }).refuseClient(address)?.details["rule"]).toBe(rule);
  });
});

describe("a module", () => {
  it.each([
    [{}, "example.com/m", undefined],
    [{ denyModules: "example.com/bad" }, "example.com/bad/v2", "deny_modules"],
    [{ denyModules: "example.com/bad" }, "example.com/badly", undefined],
    [{ allowModules: "example.com,*.corp" }, "git.corp/m", undefined],
    [{ allowModules: "example.com,*.corp" }, "other.example/m", "allow_modules"],
    [{ allowModules: "example.com", denyModules: "example.com/bad" }, "example.com/bad", "deny_modules"],
  ] satisfies [Partial<AccessRules>, string, string | undefined][])("with %j, %s: %s", (rules, path, rule) => {
    expect(createAccess({ ...open, ...rules }).refuseModule(path)?.details["rule"]).toBe(rule);
  });
});

it("names the rule, the reason and whom to ask", () => {
  const rules = { ...open, denyModules: "a.example,b.example/*", contact: "go-team@corp.example" };
  expect(createAccess(rules).refuseModule("b.example/m")).toMatchObject({
    code: "denied",
    message:
      "b.example/m is not allowed here: modules of b.example/* are denied (deny_modules of [access]). Ask go-team@corp.example.",
  });
});
