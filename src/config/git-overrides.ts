import { isSluiceError } from "../core/errors.ts";
import { createOverrides } from "../sources/git/discovery/overrides.ts";
import type { Report } from "./checks.ts";
import type { GitOverride } from "./schema.ts";

/** What the schema cannot tell of `[[git.override]]`. Messages never quote an address, which may hold a password. */
export function checkGitOverrides(overrides: readonly GitOverride[], report: Report): void {
  for (const [index, override] of overrides.entries()) {
    const problem = templateProblem(override.url, "write a [[private]] rule with a credential, or a .netrc");
    if (problem !== undefined) report("git.override.url", problem, { index });
    else checkOverride(override, (message) => report("git.override.pattern", message, { index }));
  }
}

/** The hosts that `[[git.override]]` names, for `createNamedHosts`: of the address, or of the pattern where the address has `{host}`. */
export function overrideHosts(overrides: readonly GitOverride[]): string[] {
  return overrides.flatMap(({ pattern, url }) => {
    const remote = fixedPart(url);
    if (remote !== undefined) return [hostOf(remote)];
    const [host = ""] = pattern.split("/", 1);
    // Behind a wider glob there may be any host, and clients would choose it.
    return /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(host) ? [host] : [];
  });
}

/** The end of a sentence about a template of addresses that is none, or holds what is better elsewhere. */
export function templateProblem(url: string, instead: string): string | undefined {
  if (/^https?:\/\/[^/]*@|^\w[\w+]*:\/\/[^/@]*:[^/]*@/.test(url))
    return `has a user name or password in it; ${instead}`;
  if (URL.canParse(url.replaceAll(/\{\w*\}/g, "x")) && /^(https?|ssh|git\+ssh|ssh\+git):\/\//.test(url))
    return undefined;
  return "is no address of repositories; write https://git.example.com/{path}.git or ssh://git@git.example.com/{path}.git";
}

/** What every address made from the template begins with, up to a `/`; undefined when not even the host is fixed. */
export function fixedPart(template: string): URL | undefined {
  const open = template.indexOf("{");
  if (open === -1) return new URL(template);
  const fixed = template.slice(0, template.lastIndexOf("/", open) + 1);
  return /^[\w+]+:\/\/[^/]+\//.test(fixed) ? new URL(fixed) : undefined;
}

/** Without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

function checkOverride(override: GitOverride, fail: (message: string) => void): void {
  try {
    createOverrides([override]);
  } catch (error) {
    if (!isSluiceError(error, "config_invalid")) throw error;
    fail(`cannot be used: ${error.message}`);
  }
}
