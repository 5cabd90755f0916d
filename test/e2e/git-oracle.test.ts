import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildRepo } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { createGoDirect, type GoAnswer, type GoDirect } from "../support/go-direct.ts";
import { lacks } from "../support/needs.ts";
import { randomQueries, randomRepo } from "../support/random-repos.ts";
import { type RunningSluice, startSluiceProcess } from "../support/sluice.ts";

/** Others than those of `test/integration/git-oracle.test.ts`, where there are many more. */
const seeds = [501, 502, 503, 504];

describe.skipIf(lacks("go", ["version"]) || lacks("git"))(
  "go through Sluice and go itself, on the same git server",
  () => {
    let root: string;
    let server: GitServer;
    let sluice: RunningSluice;
    let direct: GoDirect;
    let proxied: GoDirect;
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), "sluice-e2e-oracle-"));
      server = await startGitServer({ root });
      const rule = `[[private]]\npattern = "github.com/fix/*"\nurl = "${server.url}/{path}"\n`;
      await writeFile(join(root, "sluice.toml"), rule);
      sluice = await startSluiceProcess({ upstream: "off", args: ["--config", join(root, "sluice.toml")] });
      direct = await createGoDirect({ "https://github.com/": `${server.url}/` });
      proxied = await createGoDirect({}, { proxy: sluice.url });
    });
    afterAll(async () => {
      await sluice.stop();
      await server.close();
      await direct[Symbol.asyncDispose]();
      await proxied[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    });

    test.each(seeds)("random repository %i", { timeout: 120_000 }, async (seed) => {
      const path = `github.com/fix/r${seed}`;
      const { description, modulePaths } = randomRepo(seed, path);
      const repo = await buildRepo(join(root, "fix", `r${seed}`), description);
      const queries: string[] = [];
      for (const modulePath of modulePaths) {
        for (const query of await randomQueries(seed, repo, modulePath, path)) queries.push(`${modulePath}@${query}`);
      }
      expect(await proxied.list(modulePaths)).toEqual(await direct.list(modulePaths));
      const ours = await proxied.download(queries);
      const together = await direct.download(queries);
      const differences: unknown[] = [];
      for (const query of queries) {
        const our = comparable(ours.get(query));
        let their = comparable(together.get(query));
        if (!isSame(our, their)) their = comparable((await direct.download([query])).get(query));
        if (!isSame(our, their)) differences.push({ query, ours: ours.get(query), theirs: their });
      }
      expect(differences).toEqual([]);
    });
  },
);

type Comparable = Pick<GoAnswer, "version" | "goMod" | "h1"> & {
  readonly time: string | undefined;
  readonly refused: boolean;
};

/** A refusal of Sluice must be one that go takes for an answer, not for a failure. */
function comparable(answer: GoAnswer | undefined): Comparable | undefined {
  if (answer === undefined) return undefined;
  const { version, info, goMod, h1, error } = answer;
  const isFailure = error !== undefined && /: 50\d |status 50/.test(error);
  const time = /"Time":"([^"]*)"/.exec(info ?? "")?.[1];
  return { version, time, goMod, h1, refused: error !== undefined && !isFailure };
}

function isSame(ours: Comparable | undefined, theirs: Comparable | undefined): boolean {
  return ours !== undefined && JSON.stringify(ours) === JSON.stringify(theirs);
}
