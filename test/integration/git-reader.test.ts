import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createGitCommand, type GitCommand } from "../../src/sources/git/command.ts";
import { GitError, type GitFailure, type GitService } from "../../src/sources/git/process.ts";
import { type ObjectReader, ObjectReaders } from "../../src/sources/git/object-reader.ts";
import { buildRepo, type FixtureRepo } from "../support/git-repos.ts";
import { lacks } from "../support/needs.ts";

describe.skipIf(lacks("git"))("objects of a repository", () => {
  let root: string;
  let repo: FixtureRepo;
  let closing: AbortController;
  let readers: ObjectReaders;
  let reader: ObjectReader;
  const started: GitService[] = [];
  let running = 0;
  let mostRunning = 0;
  /** What processes say is not heard. */
  let isMute = false;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "sluice-reader-"));
    repo = await buildRepo(join(root, "lib.git"), { commits: [{ name: "tip", files: { a: "a\n", b: "bb\n" } }] });
    closing = new AbortController();
    started.length = 0;
    running = 0;
    mostRunning = 0;
    isMute = false;
    const git = createGitCommand({ home: join(root, "home"), env: process.env });
    const counting: GitCommand = {
      ...git,
      async start(run) {
        const onEnd = (error: unknown): void => {
          running -= 1;
          run.onEnd(error);
        };
        const onOutput = (chunk: Buffer): void => (isMute ? undefined : run.onOutput(chunk));
        const service = await git.start({ ...run, onEnd, onOutput });
        started.push(service);
        running += 1;
        mostRunning = Math.max(mostRunning, running);
        return service;
      },
    };
    readers = new ObjectReaders(counting, closing.signal);
    reader = readers.of(repo.dir);
  });
  afterEach(async () => {
    vi.useRealTimers();
    await reader.end();
    await rm(root, { recursive: true, force: true });
  });

  const names = (): string[] => ["a", "none", "b"].map((name) => `${repo.hash("tip")}:${name}`);
  const contents = async (from: ObjectReader, maxBytes?: number): Promise<unknown[]> =>
    (await from.read(names(), maxBytes)).map((object) => object?.content?.toString());

  test("are read by one process, in the order of the questions", async () => {
    const answers = await Promise.all([contents(reader), contents(reader)]);
    expect(answers).toEqual([
      ["a\n", undefined, "bb\n"],
      ["a\n", undefined, "bb\n"],
    ]);
    expect(await reader.read([])).toEqual([]);
    expect(started).toHaveLength(1);
  });

  test("are left out beyond so many bytes, and the next question is answered", async () => {
    const found = await reader.read(names(), 4);
    expect(found.map((object) => object?.size)).toEqual([2, undefined, 3]);
    expect(found.map((object) => object?.content?.toString())).toEqual(["a\n", undefined, undefined]);
    expect(await contents(reader)).toEqual(["a\n", undefined, "bb\n"]);
  });

  test("are asked of a new process when one was killed, at rest or at work", async () => {
    await contents(reader);
    started[0]?.kill("exit");
    expect(await contents(reader)).toEqual(["a\n", undefined, "bb\n"]);
    expect(started).toHaveLength(2);
    const asked = contents(reader);
    started[1]?.kill("exit");
    expect(await asked).toEqual(["a\n", undefined, "bb\n"]);
  });

  test("of a folder that is no repository are a failure in git's words, and of no third process", async () => {
    const nowhere = readers.of(join(root, "home"));
    await expect(nowhere.read(names())).rejects.toMatchObject({ failure: "exit", stderr: /not a git repository/ });
    expect(started).toHaveLength(2);
    await nowhere.end();
  });

  test("of many repositories are read by so many processes at a time", async () => {
    const many = Array.from({ length: 40 }, () => readers.of(repo.dir));
    const answers = await Promise.all(many.map((each) => contents(each)));
    expect(answers).toEqual(many.map(() => ["a\n", undefined, "bb\n"]));
    expect(mostRunning).toBe(32);
    await Promise.all(many.map((each) => each.end()));
    expect(running).toBe(0);
  });

  test("leave no process when nobody asks for some seconds", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await contents(reader);
    await vi.advanceTimersByTimeAsync(4_900);
    expect(running).toBe(1);
    await vi.advanceTimersByTimeAsync(100);
    await expect.poll(() => running, { timeout: 20_000 }).toBe(0);
    expect(await contents(reader)).toEqual(["a\n", undefined, "bb\n"]);
  });

  test("are given up when a process that had to wait for its start says nothing", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const start = Promise.withResolvers<void>();
    const silent: GitCommand = {
      run: () => Promise.reject(new Error("not asked for")),
      check: async () => undefined,
      async start({ onEnd }) {
        await start.promise;
        const end = (): void => onEnd(new GitError("exit", "cat-file", { stderr: "" }));
        const kill = (why: GitFailure): void => onEnd(new GitError(why, "cat-file", { stderr: "" }));
        return { write: () => undefined, end, kill };
      },
    };
    const waiting = new ObjectReaders(silent, closing.signal).of(repo.dir);
    const failure = waiting.read(names()).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(130_000);
    start.resolve();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(await failure).toMatchObject({ failure: "timeout" });
    await waiting.end();
  });

  test("are told to nobody when Sluice closes", async () => {
    await contents(reader);
    isMute = true;
    const asked = reader.read(names());
    closing.abort();
    await expect(asked).rejects.toMatchObject({ code: "cancelled" });
    await expect(reader.read(names())).rejects.toMatchObject({ code: "cancelled" });
    expect(running).toBe(0);
  });
});
