import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { formatInfo } from "../../src/protocol/goproxy/index.ts";
import { canonicalVersion } from "../../src/protocol/module/index.ts";
import { createGitHarness, type GitHarness, outcomeOf } from "../support/git-harness.ts";
import { buildRepo } from "../support/git-repos.ts";
import { createGoDirect, type GoAnswer, type GoDirect } from "../support/go-direct.ts";
import { lacks } from "../support/needs.ts";
import { randomQueries, randomRepo } from "../support/random-repos.ts";

// SLUICE_TEST_SEEDS=1000-1300 for others than the few that every run has.
const [firstSeed = 1, lastSeed = 12] = (process.env["SLUICE_TEST_SEEDS"] ?? "1-12").split("-").map(Number);
const seeds = Array.from({ length: lastSeed - firstSeed + 1 }, (_, index) => firstSeed + index);

describe.skipIf(lacks("go", ["version"]) || lacks("git"))("a git source answers as GOPROXY=direct go does", () => {
  let root: string;
  let go: GoDirect;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-oracle-"));
    go = await createGoDirect({ "https://github.com/": `file://${root}/` });
  });
  afterAll(async () => {
    await go?.[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });

  test.each(seeds)("random repository %i", { timeout: 120_000 }, async (seed) => {
    const path = `github.com/fix/r${seed}`;
    const { description, modulePaths } = randomRepo(seed, path);
    const repo = await buildRepo(join(root, "fix", `r${seed}`), description);
    await using sluice = await createGitHarness({
      places: [{ root: path, url: `https://${path}` }],
      config: [[`url.file://${root}/.insteadOf`, "https://github.com/"]],
      // Each second repository has versions that nobody asked for yet.
      isAhead: seed % 2 === 1,
    });
    const differences: unknown[] = [];
    const lists = await go.list(modulePaths);
    for (const modulePath of modulePaths) {
      const ours = await sluice.list(modulePath);
      const theirs = lists.get(modulePath) ?? [];
      if (ours.join(" ") !== theirs.join(" ")) differences.push({ list: modulePath, ours, theirs });
    }
    const queries: string[] = [];
    for (const modulePath of modulePaths) {
      for (const query of await randomQueries(seed, repo, modulePath, path)) queries.push(`${modulePath}@${query}`);
    }
    const together = await go.download(queries);
    for (const query of queries) {
      const ours = await answerOf(sluice, query);
      let theirs = together.get(query);
      if (theirs === undefined || !isSame(query, ours, theirs)) {
        // What go fetched for another query can change its answer. An empty cache decides.
        theirs = (await go.download([query])).get(query);
      }
      if (theirs === undefined || !isSame(query, ours, theirs)) differences.push({ query, ours, theirs });
    }
    expect(differences, `repeat with SLUICE_TEST_SEEDS=${seed}-${seed}`).toEqual([]);
  });
});

async function answerOf(sluice: GitHarness, query: string): Promise<GoAnswer> {
  const at = query.indexOf("@");
  const path = query.slice(0, at);
  const refused = { version: undefined, info: undefined, goMod: undefined, h1: undefined };
  let info: Awaited<ReturnType<GitHarness["info"]>> | undefined;
  const error = await outcomeOf(
    (async () => {
      const asked = query.slice(at + 1);
      info = asked === "latest" ? await sluice.latest(path) : await sluice.info(path, asked);
    })(),
  );
  // As go's client, which asks for the version without its metadata then (SPEC §1.5).
  const canonical = canonicalVersion(query.slice(at + 1));
  if (info === undefined && canonical !== undefined && canonical !== query.slice(at + 1)) {
    return answerOf(sluice, `${path}@${canonical}`);
  }
  if (info === undefined) return { ...refused, error };
  let goMod: string | undefined;
  let h1: string | undefined;
  const { version } = info;
  const filesError = await outcomeOf(
    (async () => {
      goMod = await sluice.mod(path, version);
      h1 = await sluice.h1(path, version);
    })(),
  );
  if (filesError !== "ok") return { ...refused, error: filesError };
  return { version, info: formatInfo(info), goMod, h1, error: undefined };
}

function isSame(query: string, ours: GoAnswer, theirs: GoAnswer): boolean {
  if (theirs.error !== undefined) return isSameRefusal(query, ours.error, theirs.error);
  return (
    ours.error === undefined &&
    ours.version === theirs.version &&
    ours.info === theirs.info &&
    ours.goMod === theirs.goMod &&
    ours.h1 === theirs.h1
  );
}

/** In the same words. Of `@latest` and of metadata go's client only says that nothing fits; of a zip it does not say which. */
function isSameRefusal(query: string, ours: string | undefined, theirs: string): boolean {
  const isClientsOwn = query.endsWith("@latest") || /\+(?!incompatible)/.test(query);
  if (isClientsOwn) return ours?.startsWith("not_found: ") === true;
  const subject = theirs.startsWith("create zip") ? (/\S+@\S+ /.exec(ours ?? "")?.[0] ?? "") : "";
  // What go writes in several lines we write in one.
  return ours === `not_found: not found: ${subject}${theirs.replaceAll("\n", "; ")}`;
}
