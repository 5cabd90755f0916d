import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { createGitCommand, type GitCommand } from "../../src/sources/git/command.ts";
import { createRemoteStatus, createRepositoryProbe } from "../../src/sources/git/probe.ts";
import { buildRepo } from "../support/git-repos.ts";
import { startGitServer } from "../support/git-server.ts";
import { failureOf, testClient } from "../support/http-client.ts";

async function createWorld(options: { readonly password?: string } = {}) {
  const root = await mkdtemp(join(tmpdir(), "sluice-probe-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const pages = new Set<string>();
  const server = await startGitServer({
    root,
    credentials: options.password === undefined ? [] : [{ username: "me", password: options.password }],
    page: ({ pathname }) => (pages.has(pathname) ? "a page" : undefined),
  });
  onTestFinished(() => server.close());
  const probe = createRepositoryProbe({
    git: createGitCommand({ home: join(root, "home"), env: process.env }),
    access: async () => ({ env: {}, hasCredential: false, dispose: async () => undefined }),
    status: createRemoteStatus({ http: testClient(), isNamedHost: () => true }),
    clock: systemClock,
  });
  const ask = (path: string, isPrivate = false): Promise<boolean> =>
    probe(`${server.url}/${path}`, { signal: new AbortController().signal, client: "test", isPrivate });
  return { root, server, pages, ask };
}

test("a repository is found, also an empty one", async () => {
  const { root, ask } = await createWorld();
  await buildRepo(join(root, "team/full.git"), { commits: [{ name: "one", files: { "go.mod": "module x.y/z\n" } }] });
  await buildRepo(join(root, "team/empty.git"), { commits: [] });
  expect([await ask("team/full.git"), await ask("team/empty.git")]).toEqual([true, true]);
});

test("a repository is known not to be there when the host says so", async () => {
  const { ask } = await createWorld();
  expect(await ask("team/none.git")).toBe(false);
});

test("a host that asks anybody for a password is asked for the web page, which tells", async () => {
  const { ask, pages } = await createWorld({ password: "secret" });
  expect(await ask("team/none.git")).toBe(false);
  pages.add("/team/hidden.git");
  expect(await failureOf(ask("team/hidden.git"))).toMatchObject({ code: "upstream_refused" });
});

test("a host that asks for a password has not said that a private repository is not there", async () => {
  const { ask } = await createWorld({ password: "secret" });
  const failure = await failureOf(ask("team/none.git", true));
  expect(failure).toMatchObject({ code: "upstream_refused" });
  expect(failure.message).toContain("give it one with a [[private]] rule");
});

test("nothing is known of a host that is down or fails", async () => {
  const { ask, server } = await createWorld();
  server.setFault(() => true, { kind: "status", status: 503 });
  expect(await failureOf(ask("team/a.git"))).toMatchObject({ code: "upstream_failed" });
  await server.close();
  expect(await failureOf(ask("team/a.git"))).toMatchObject({ code: "upstream_failed" });
});

test("many questions at a time are so many processes only, and one that finds no room is told so", async () => {
  const open: (() => void)[] = [];
  let started = 0;
  const git: GitCommand = {
    check: async () => undefined,
    start: () => Promise.reject(new Error("nothing here is asked of a repository on the disk")),
    run: () =>
      new Promise((resolve) => {
        started += 1;
        open.push(() => resolve(Buffer.from("")));
      }),
  };
  const probe = createRepositoryProbe({
    git,
    access: async () => ({ env: {}, hasCredential: false, dispose: async () => undefined }),
    clock: systemClock,
    queue: { concurrency: 2, maxWaiting: 1 },
  });
  const { signal } = new AbortController();
  const ask = (name: string): Promise<boolean> => probe(`https://git.example.com/${name}`, { signal, client: "test" });
  const asked = [ask("a"), ask("b"), ask("c")];
  expect(await failureOf(ask("d"))).toMatchObject({ code: "overloaded" });
  await expect.poll(() => started, { timeout: 20_000 }).toBe(2);
  open.shift()?.();
  await expect.poll(() => started, { timeout: 20_000 }).toBe(3);
  for (const answer of open) answer();
  expect(await Promise.all(asked)).toEqual([true, true, true]);
});
