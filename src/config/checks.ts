import { SluiceError } from "../core/errors.ts";
import { ProtocolError } from "../protocol/error.ts";
import { pathMatch } from "../protocol/module/index.ts";
import { formatChain, parseChain, type ChainEntry } from "../sources/chain-spec.ts";
import type { Group } from "./route-schema.ts";
import type { Settings } from "./schema.ts";
import type { Override } from "./upstream-schema.ts";
import { nearest } from "./suggest.ts";

/** Adds a sentence about one setting: by its `section.key`, the end of the sentence, and the value it is about. */
export type Report = (
  path: string,
  message: string,
  at?: { readonly value?: unknown; readonly index?: number },
) => void;

/** What one value's schema cannot tell: grammars of Go, and settings that must fit each other. */
export function checkSettings({ server, upstream, access, limits, store, bucket }: Settings, report: Report): void {
  if (server.maxUrlBytes >= server.maxHeaderBytes) {
    report(
      "server.max_url_bytes",
      `is not below max_header_bytes (${server.maxHeaderBytes}), which the URL is a part of`,
      {
        value: server.maxUrlBytes,
      },
    );
  }
  if (store.maxSizeBytes > 0 && bucket.url !== undefined) {
    report(
      "store.max_size",
      "is for a data folder that has everything; with a bucket set disk_cache_size, and let the bucket's own rules keep it small",
    );
  }
  checkPatterns("upstream.private", upstream.private, report);
  checkPatterns("access.allow_modules", access.allowModules, report);
  checkPatterns("access.deny_modules", access.denyModules, report);
  checkBurst(limits, report);
  if (upstream.noProxy !== upstream.private) checkPatterns("upstream.no_proxy", upstream.noProxy, report);
  const chains = [checkChain(upstream.chain, (message) => report("upstream.chain", message))];
  for (const [index, route] of upstream.routes.entries()) {
    checkPatterns("upstream.route.patterns", route.patterns, (path, message, at) =>
      report(path, message, { ...at, index }),
    );
    chains.push(checkChain(route.chain, (message) => report("upstream.route.chain", message, { index })));
  }
  const read = chains.filter((chain) => chain !== undefined);
  // What a chain that cannot be read has is not known.
  if (read.length < chains.length) return;
  checkOverrides(upstream.overrides, read.flat(), report);
  checkGroups(upstream.groups, read, report);
}

function checkBurst({ requestsPerSecond, burst }: Settings["limits"], report: Report): void {
  if (burst === 0 || burst >= requestsPerSecond) return;
  report(
    "limits.burst",
    `is less than requests_per_second (${requestsPerSecond}), which then cannot be reached; write at least that, or leave it out`,
    { value: burst },
  );
}

/** The chain as it may be printed. */
export function printableChain(chain: string): string {
  return formatChain(parseChain(chain));
}

/** The URL of an override as `parseChain` names the entry that it is about. */
export function overrideName(override: Override): string {
  return parseOverrideUrl(override.url)?.name ?? override.url;
}

/** Go's own matching passes over what is malformed, and then a private name would go out. So it is refused here. */
export function checkPatterns(path: string, patterns: string, report: Report): void {
  for (const pattern of patterns.split(",")) {
    if (/\s/.test(pattern)) {
      report(
        path,
        `has a blank in the pattern ${JSON.stringify(pattern)}, which then matches nothing; separate patterns by a comma alone`,
        {
          value: patterns,
        },
      );
    } else if (pattern.includes("://")) {
      report(path, `has a URL among its patterns; write the module path, such as ${pattern.replace(/^.*:\/\//, "")}`, {
        value: patterns,
      });
    } else if (!isPattern(pattern)) {
      report(path, `has the malformed pattern ${JSON.stringify(pattern)}; close its [ or escape it as \\[`, {
        value: patterns,
      });
    }
  }
}

function isPattern(pattern: string): boolean {
  try {
    pathMatch(pattern, "");
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

function checkChain(chain: string, report: (message: string) => void): readonly ChainEntry[] | undefined {
  try {
    return parseChain(chain);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const reason = isPartOfPassword(chain)
      ? "cannot be read, and is not shown as it may hold a password; in a password write , as %2C, | as %7C, / as %2F and @ as %40"
      : `cannot be read: ${error.message}`;
    report(reason);
    return undefined;
  }
}

/** A comma in a password splits it, and then the first half looks like an entry that may be quoted. */
function isPartOfPassword(chain: string): boolean {
  const words = chain.split(/[,|]/);
  return words.some(
    (word, index) =>
      !word.includes("@") && /:\/*[^/]*:/.test(word) && words.slice(index + 1).some((later) => later.includes("@")),
  );
}

function checkOverrides(overrides: readonly Override[], chain: readonly ChainEntry[], report: Report): void {
  const names = chain.filter(({ kind }) => kind === "http").map(({ name }) => name);
  const seen = new Set<string>();
  for (const [index, override] of overrides.entries()) {
    const entry = parseOverrideUrl(override.url);
    if (entry === undefined) {
      report(
        "upstream.override.url",
        "is not one URL of an upstream; write it as in the chain, such as https://proxy.example.com",
        { index },
      );
    } else if (entry.credentials !== undefined || entry.url.search !== "") {
      report(
        "upstream.override.url",
        "has a user name, password or query in it; write username and password_file instead",
        { index },
      );
    } else if (!names.includes(entry.name)) {
      const meant = nearest(entry.name, names);
      report(
        "upstream.override.url",
        `${entry.name} is no entry of the chain; ${meant === undefined ? "add it there, or take the override out" : `did you mean ${meant}?`}`,
        {
          index,
        },
      );
    } else if (seen.has(entry.name)) {
      report("upstream.override.url", `${entry.name} has an override already; write one table for it`, { index });
    } else {
      seen.add(entry.name);
    }
  }
}

/** Each must be what a chain can use: neighbours, of which the next is asked after any failure. */
function checkGroups(groups: readonly Group[], chains: readonly (readonly ChainEntry[])[], report: Report): void {
  const seen = new Set<string>();
  for (const [index, group] of groups.entries()) {
    const names = groupNames(group.members);
    const backups = groupNames(group.backups);
    const all = [...names, ...backups];
    const known = chains.flat().map(({ name }) => name);
    const isAbout = (name: string | undefined): string =>
      name !== undefined && names.includes(name) ? "members" : "backups";
    const say = (message: string, name = names[0]): void =>
      report(`upstream.group.${isAbout(name)}`, message, { index });
    if (all.length < 2) {
      say("has one upstream, and there are no backups; write at least two upstreams, or one and its backups");
      continue;
    }
    const unknown = all.find((name) => !known.includes(name));
    if (unknown !== undefined) {
      const meant = nearest(unknown, known);
      say(
        `${unknown} is no entry of a chain; ${meant === undefined ? "add it there, or take it out here" : `did you mean ${meant}?`}`,
        unknown,
      );
      continue;
    }
    const double = all.find((name, at) => seen.has(name) || all.indexOf(name) < at);
    for (const name of all) seen.add(name);
    if (double !== undefined)
      say(`${double} is in a group already; an upstream belongs to one group, as a member or as a backup`, double);
    else if (!chains.some((chain) => hasRuns(chain, names, backups))) {
      const how = backups.length === 0 ? "" : ", the backups last";
      say(`do not stand side by side in a chain; write them so, with | between them${how}: ${all.join("|")}`);
    }
  }
}

/** The members as `parseChain` names them. */
export function groupNames(members: readonly string[]): string[] {
  return members.map((url) => parseOverrideUrl(url)?.name ?? url);
}

/** Whether the members stand side by side, and the backups behind them. */
function hasRuns(chain: readonly ChainEntry[], members: readonly string[], backups: readonly string[]): boolean {
  const size = members.length + backups.length;
  return chain.some((_, start) => {
    const run = chain.slice(start, start + size);
    const isAll =
      run.length === size && run.every(({ name }, at) => (at < members.length ? members : backups).includes(name));
    return isAll && run.slice(0, -1).every((entry) => entry.kind !== "end" && entry.fallBackOnError);
  });
}

function parseOverrideUrl(url: string) {
  try {
    const [entry, second] = parseChain(url);
    return entry?.kind === "http" && second === undefined ? entry : undefined;
  } catch (error) {
    if (error instanceof SluiceError) return undefined;
    throw error;
  }
}
