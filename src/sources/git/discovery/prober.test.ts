import { describe, expect, test } from "vitest";
import { SluiceError } from "../../../core/errors.ts";
import { createFakeClock } from "../../../../test/support/fake-clock.ts";
import { defaultTimes } from "./fresh-cache.ts";
import { createProber } from "./prober.ts";

const down = new SluiceError("upstream_failed", "git.corp: refused the connection");
const refused = new SluiceError("upstream_refused", "git.corp: wants credentials");

/** Hosts that end with `.corp` are named by the configuration. What is not in `answers` is no repository. */
function harness(answers: Readonly<Record<string, true | Error>>) {
  const asked: string[] = [];
  const clock = createFakeClock();
  const given: Record<string, true | Error> = { ...answers };
  const prober = createProber({
    clock,
    times: defaultTimes,
    isNamedHost: (hostname) => hostname.endsWith(".corp"),
    probe: async (url) => {
      asked.push(url);
      const answer = given[url];
      if (answer instanceof Error) throw answer;
      return answer === true;
    },
  });
  const context = { signal: new AbortController().signal, client: "test" };
  return {
    asked,
    clock,
    answers: given,
    schemeOf: (repo: string, insecure = false) => prober.schemeOf(repo, { insecure, context }),
    firstRepository: (...urls: readonly string[]) => prober.firstRepository(urls, context),
  };
}

describe("the scheme of a repository", () => {
  test("is the first of https, git+ssh and ssh that answers", async () => {
    const { schemeOf, asked } = harness({ "ssh://git.corp/a": true });
    expect(await schemeOf("git.corp/a")).toBe("ssh://git.corp/a");
    expect(asked).toEqual(["https://git.corp/a", "git+ssh://git.corp/a", "ssh://git.corp/a"]);
  });

  test("is looked for among the others too where GOINSECURE allows it", async () => {
    const { schemeOf, asked } = harness({});
    expect(await schemeOf("git.corp/a", true)).toBeUndefined();
    expect(asked.map((url) => url.split(":")[0])).toEqual(["git", "https", "http", "git+ssh", "ssh"]);
  });

  test("is not SSH for a host that the configuration does not name", async () => {
    const { schemeOf, asked } = harness({ "ssh://git.example/a": true });
    expect(await schemeOf("git.example/a")).toBeUndefined();
    expect(asked).toEqual(["https://git.example/a"]);
  });

  test("is unknown when the host is down", async () => {
    await expect(harness({ "https://git.example/a": down }).schemeOf("git.example/a")).rejects.toBe(down);
    await expect(harness({ "https://git.corp/a": down }).schemeOf("git.corp/a")).rejects.toBe(down);
  });

  test("is unknown when SSH, with which it may be there, is down", async () => {
    await expect(harness({ "ssh://git.corp/a": down }).schemeOf("git.corp/a")).rejects.toBe(down);
    expect(await harness({ "ssh://git.corp/a": refused }).schemeOf("git.corp/a")).toBeUndefined();
  });

  test("is none when http says so and https is not there", async () => {
    const answers = { "git://git.example/a": down, "https://git.example/a": down };
    expect(await harness(answers).schemeOf("git.example/a", true)).toBeUndefined();
  });
});

describe("the first repository of several", () => {
  const urls = ["ssh://git.corp/a", "ssh://git.corp/a/b", "ssh://git.corp/a/b/c"];

  test("is found once, and then asked for before the others", async () => {
    const { firstRepository, asked, clock } = harness({ "ssh://git.corp/a/b": true });
    expect(await firstRepository(...urls)).toBe("ssh://git.corp/a/b");
    expect(asked).toEqual(urls.slice(0, 2));
    clock.advance(60_000);
    expect(await firstRepository(...urls)).toBe("ssh://git.corp/a/b");
    expect(asked).toEqual(urls.slice(0, 2));
  });

  test("is looked for again when the known one is gone", async () => {
    const { firstRepository, answers, clock } = harness({ "ssh://git.corp/a/b": true });
    await firstRepository(...urls);
    delete answers["ssh://git.corp/a/b"];
    answers["ssh://git.corp/a/b/c"] = true;
    clock.advance(2 * (defaultTimes.ttlMs + defaultTimes.refreshMs));
    expect(await firstRepository(...urls)).toBe("ssh://git.corp/a/b/c");
  });

  test("is unknown when the host is down, which is then not asked for the others", async () => {
    const { firstRepository, asked } = harness({ "ssh://git.corp/a": down, "ssh://git.corp/a/b": true });
    await expect(firstRepository(...urls)).rejects.toBe(down);
    expect(asked).toEqual(urls.slice(0, 1));
  });

  test("is none only when every one of them is known not to be there", async () => {
    expect(await harness({}).firstRepository(...urls)).toBeUndefined();
    await expect(harness({ "ssh://git.corp/a": refused }).firstRepository(...urls)).rejects.toBe(refused);
    const answers = { "ssh://git.corp/a": refused, "ssh://git.corp/a/b": true as const };
    expect(await harness(answers).firstRepository(...urls)).toBe("ssh://git.corp/a/b");
  });
});
