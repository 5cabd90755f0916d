import { expect, it } from "vitest";
import { parseModulePath } from "../protocol/module/index.ts";
import { parseChain } from "./chain-spec.ts";
import { createPrivateRules } from "./private.ts";
import { isRemoteFirst } from "./routes.ts";

const places = {
  main: parseChain("https://proxy.example.com,direct"),
  routes: [
    { patterns: "off.example/*", entries: parseChain("off") },
    { patterns: "file.example", entries: parseChain("file:///srv/goproxy,https://proxy.example.com") },
    { patterns: "git.example", entries: parseChain("direct") },
    { patterns: "other.example,git.example", entries: parseChain("https://other.example|direct") },
  ],
  privateRules: createPrivateRules("git.corp/team/*"),
};

it.each([
  ["example.com/m", true],
  ["other.example/m", true],
  ["off.example/m", false],
  ["off.example", true],
  ["file.example/m", false],
  ["git.example/m", false],
  ["git.corp/team/m", false],
  ["git.corp/team", false],
  ["git.corp/others/m", true],
])("whether %s is asked of an upstream on the network first: %s", (module, isRemote) => {
  expect(isRemoteFirst(parseModulePath(module), places)).toBe(isRemote);
});
