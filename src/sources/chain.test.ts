import { describe, expect, test } from "vitest";
import { failureOf } from "../../test/support/source-harness.ts";
import { checksumMismatch } from "../core/checksum-mismatch.ts";
import { type ErrorCode, SluiceError } from "../core/errors.ts";
import type { FetchContext, Source, SourceResponse } from "../core/ports.ts";
import { type ModuleRequest, parseRequest } from "../protocol/goproxy/index.ts";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { parseChain } from "./chain-spec.ts";
import { createChain } from "./chain.ts";
import type { ChainGroup } from "./group-order.ts";
import { createPrivateRules } from "./private.ts";

const request = parseRequest("/example.com/m/@v/v1.0.0.mod");

/** What each upstream of a chain does: answer, or fail with the code. */
type Outcome = "ok" | ErrorCode | Error;

function chainOf(
  text: string,
  outcomes: Readonly<Record<string, Outcome>>,
  { patterns = "", groups = [] }: { readonly patterns?: string; readonly groups?: readonly ChainGroup[] } = {},
) {
  const asked: string[] = [];
  const hurried: string[] = [];
  const closed: string[] = [];
  const chain = createChain({
    entries: parseChain(text),
    privateRules: createPrivateRules(patterns),
    groups,
    open: ({ name }): Source => ({
      name,
      async fetch<T>(
        _request: ModuleRequest,
        receive: (response: SourceResponse) => Promise<T>,
        { mayMoveOn = false }: FetchContext,
      ) {
        asked.push(name);
        if (mayMoveOn) hurried.push(name);
        const outcome = outcomes[name] ?? "not_found";
        if (outcome === "ok") return receive({ source: name, body: body(name) });
        if (outcome instanceof Error) throw outcome;
        throw new SluiceError(outcome, `${name}: answered with ${outcome}`, { retryAfterSeconds: 7 });
      },
      async close() {
        closed.push(name);
      },
    }),
  });
  const fetch = (asking = request, signal = new AbortController().signal) =>
    chain.fetch(asking, async ({ source }) => source, { signal, client: "test" });
  return { chain, fetch, asked, hurried, closed };
}

async function* body(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const [a, b, c] = ["https://a.example", "https://b.example", "https://c.example"] as const;

// What go's TryProxies answers for the same list and answers; `direct` and `off` apart, which are no sources here.
describe("asks and answers as go walks through GOPROXY", () => {
  const table: readonly (readonly [string, Readonly<Record<string, Outcome>>, readonly string[], string])[] = [
    // the first that has it
    [a, { [a]: "ok" }, [a], a],
    [`${a},${b}`, { [a]: "ok", [b]: "ok" }, [a], a],
    [`${a}|${b}`, { [a]: "ok", [b]: "ok" }, [a], a],
    // behind "does not exist", both separators go on
    [`${a},${b}`, { [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [b]: "ok" }, [a, b], b],
    [`${a},${b}|${c}`, { [c]: "ok" }, [a, b, c], c],
    // behind a failure, only `|` does
    [`${a},${b}`, { [a]: "upstream_failed", [b]: "ok" }, [a], "upstream_failed"],
    [`${a}|${b}`, { [a]: "upstream_failed", [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [a]: "upstream_timeout", [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [a]: "upstream_refused", [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [a]: "upstream_invalid", [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [a]: "integrity", [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [a]: "overloaded", [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [a]: "loop", [b]: "ok" }, [a, b], b],
    [`${a},${b}`, { [a]: "upstream_refused", [b]: "ok" }, [a], "upstream_refused"],
    [`${a},${b}`, { [a]: "integrity", [b]: "ok" }, [a], "integrity"],
    [`${a}|${b},${c}`, { [a]: "upstream_failed", [b]: "upstream_refused", [c]: "ok" }, [a, b], "upstream_refused"],
    [`${a},${b}|${c}`, { [b]: "upstream_failed", [c]: "ok" }, [a, b, c], c],
    // which error is the answer: never "does not exist" when one of them failed, else the last
    [`${a},${b}`, {}, [a, b], "not_found"],
    [`${a}|${b}`, { [a]: "upstream_failed" }, [a, b], "upstream_failed"],
    [`${a}|${b}`, { [b]: "upstream_failed" }, [a, b], "upstream_failed"],
    [`${a}|${b}|${c}`, { [a]: "upstream_failed", [b]: "upstream_timeout" }, [a, b, c], "upstream_timeout"],
    [`${a}|${b}|${c}`, { [a]: "upstream_failed", [c]: "upstream_refused" }, [a, b, c], "upstream_refused"],
    // the ends: nothing behind them is asked, and a failure before them stays a failure
    ["off", {}, [], "not_found"],
    ["direct", {}, [], "not_found"],
    [`off,${a}`, { [a]: "ok" }, [], "not_found"],
    [`${a},off,${b}`, { [b]: "ok" }, [a], "not_found"],
    [`${a},direct|${b}`, { [b]: "ok" }, [a], "not_found"],
    [`${a},direct`, { [a]: "upstream_failed" }, [a], "upstream_failed"],
    [`${a}|direct`, { [a]: "upstream_failed" }, [a], "upstream_failed"],
    [`${a}|off`, { [a]: "upstream_failed" }, [a], "upstream_failed"],
  ];
  test.each(table)("%s when %j", async (text, outcomes, expectedAsked, expected) => {
    const { fetch, asked } = chainOf(text, outcomes);
    const answer = await fetch().catch((error: unknown) => (error instanceof SluiceError ? error.code : error));
    expect([answer, asked]).toEqual([expected, expectedAsked]);
  });
});

describe("backups", () => {
  const groups: readonly ChainGroup[] = [{ members: [a, b], backups: [c], balance: "order" }];
  const text = `${a}|${b}|${c}`;
  const d = "https://d.example";
  const table: readonly (readonly [string, Readonly<Record<string, Outcome>>, readonly string[], string])[] = [
    // are asked when no member answers
    [text, { [a]: "upstream_failed", [b]: "upstream_timeout", [c]: "ok" }, [a, b, c], c],
    [text, { [a]: "upstream_failed", [b]: "upstream_timeout" }, [a, b, c], "upstream_timeout"],
    // and not when one does, whatever it says
    [text, { [a]: "upstream_failed", [b]: "ok", [c]: "ok" }, [a, b], b],
    [text, { [c]: "ok" }, [a, b], "not_found"],
    // what a member that fails may have is not said to be missing
    [text, { [a]: "upstream_failed", [c]: "ok" }, [a, b], "upstream_failed"],
    [text, { [b]: "upstream_failed", [c]: "ok" }, [a, b], "upstream_failed"],
    // what stands behind them is asked as ever
    [`${text},${d}`, { [c]: "ok", [d]: "ok" }, [a, b, d], d],
    [`${text},${d}`, { [a]: "upstream_failed", [c]: "ok", [d]: "ok" }, [a, b], "upstream_failed"],
    [`${text}|${d}`, { [a]: "upstream_failed", [c]: "ok", [d]: "ok" }, [a, b, d], d],
    // where a chain has no member, they are entries as any
    [`${d}|${c}`, { [c]: "ok" }, [d, c], c],
  ];
  test.each(table)("%s when %j", async (chain, outcomes, expectedAsked, expected) => {
    const { fetch, asked } = chainOf(chain, outcomes, { groups });
    const answer = await fetch().catch((error: unknown) => (error instanceof SluiceError ? error.code : error));
    expect([answer, asked]).toEqual([expected, expectedAsked]);
  });

  test("the last member is in no hurry where they will not be asked", async () => {
    const { fetch, hurried } = chainOf(text, { [b]: "upstream_failed" }, { groups });
    await fetch().catch(() => undefined);
    expect(hurried).toEqual([a]);
  });
});

describe("behind a copy that a checksum database does not confirm", () => {
  const file = {
    kind: "mod",
    modulePath: parseModulePath("example.com/m"),
    version: parseVersion("v1.0.0"),
    h1: hashGoMod(Buffer.from("tampered")),
    source: a,
    isDirect: false,
  } as const;
  const mismatch = checksumMismatch(file, "sum.example.com", hashGoMod(Buffer.from("right")));

  test.each<[string, Readonly<Record<string, Outcome>>, readonly string[], string]>([
    [`${a},${b}`, { [b]: "ok" }, [a, b], b],
    [`${a}|${b}`, { [b]: "ok" }, [a, b], b],
    [`${a},${b}`, {}, [a, b], "integrity"],
    // who was asked in a hurry, as somebody else could answer, is waited for before a wrong copy is the end of it
    [`${a},${b}|${c}`, { [b]: "upstream_failed" }, [a, b, c, b], "integrity"],
    [`${b}|${a}`, { [b]: "upstream_failed" }, [b, a, b], "integrity"],
    [`${b}|${c}|${a}`, { [b]: "upstream_refused", [c]: "upstream_timeout" }, [b, c, a, c], "integrity"],
    [`${a},${b},${c}`, { [b]: "upstream_failed", [c]: "ok" }, [a, b], "integrity"],
  ])("the next is asked in any case: %s when then %j", async (text, outcomes, expectedAsked, expected) => {
    const { fetch, asked } = chainOf(text, { [a]: mismatch, ...outcomes });
    const answer = await fetch().catch((error: unknown) => (error instanceof SluiceError ? error.code : error));
    expect([answer, asked]).toEqual([expected, expectedAsked]);
  });

  test("an upstream that was down is waited for when the one behind it sends a wrong copy", async () => {
    const hurries: unknown[] = [];
    const chain = createChain({
      entries: parseChain(`${a}|${b}`),
      privateRules: createPrivateRules(""),
      open: ({ name }): Source => ({
        name,
        async fetch<T>(_: ModuleRequest, receive: (response: SourceResponse) => Promise<T>, context: FetchContext) {
          hurries.push([name, context.failFast === true]);
          if (name === b) throw mismatch;
          if (context.failFast === true) throw new SluiceError("upstream_failed", `${name}: down`);
          return receive({ source: name, body: body(name) });
        },
        close: async () => undefined,
      }),
    });
    const ask = (context: Partial<FetchContext> = {}) =>
      chain.fetch(request, async ({ source }) => source, {
        signal: new AbortController().signal,
        client: "test",
        ...context,
      });
    expect(await ask()).toBe(a);
    expect(hurries.splice(0)).toEqual([
      [a, true],
      [b, false],
      [a, false],
    ]);
    // Who has an older answer at hand does not wait.
    expect((await failureOf(ask({ failFast: true }))).code).toBe("integrity");
    expect(hurries).toHaveLength(2);
  });

  test("both hashes stand in the answer, on lines of their own, and what the others said", async () => {
    const { fetch } = chainOf(`${a},${b}`, { [a]: mismatch, [b]: "upstream_failed" });
    const { message, details } = await failureOf(fetch());
    expect(message).toBe(`${mismatch.message}\n  ${b}: answered with upstream_failed`);
    expect(details).toMatchObject({ mismatch: true, found: file.h1 });
  });

  test("so does what a checksum database itself did wrong, for which no source is to blame", async () => {
    const lie = "verifying example.com/m@v1.0.0/go.mod: sum.example.com: two histories\n  Tell its operators.";
    const error = new SluiceError("integrity", lie, { details: { database: "sum.example.com", permanent: true } });
    const { fetch } = chainOf(`${a},${b}`, { [a]: error });
    expect((await failureOf(fetch())).message).toBe(lie);
  });

  test("the answer fits into what go prints, however long the module path is", async () => {
    const long = checksumMismatch(
      { ...file, modulePath: parseModulePath(`example.com/${"x".repeat(500)}`), source: `https://${"y".repeat(300)}` },
      "sum.example.com",
      file.h1,
    );
    const { fetch } = chainOf(`${a},${b},${c}`, { [a]: long });
    const { message } = await failureOf(fetch());
    expect(message.length).toBeLessThanOrEqual(560);
    expect(message).toMatch(/\n {2}downloaded: h1:\S+\n {2}sum\.example\.com: h1:\S+\n/);
  });
});

describe("what is not the source's failure ends the walk", () => {
  test.each<[Outcome]>([["cancelled"], ["unverified"], ["storage_failed"], ["draining"], ["internal"]])(
    "%s",
    async (outcome) => {
      const { fetch, asked } = chainOf(`${a}|${b}`, { [a]: outcome, [b]: "ok" });
      expect([(await failureOf(fetch())).code, asked]).toEqual([outcome, [a]]);
    },
  );

  test("a bug", async () => {
    const bug = new TypeError("x is not a function");
    const { fetch, asked } = chainOf(`${a}|${b}`, { [a]: bug, [b]: "ok" });
    await expect(fetch()).rejects.toBe(bug);
    expect(asked).toEqual([a]);
  });

  test("the end of the time for the whole fetch", async () => {
    const { fetch, asked } = chainOf(`${a}|${b}`, { [a]: "upstream_timeout", [b]: "ok" });
    expect((await failureOf(fetch(request, AbortSignal.abort()))).code).toBe("upstream_timeout");
    expect(asked).toEqual([a]);
  });
});

test("a private module is asked of nobody, and others are", async () => {
  const { fetch, asked } = chainOf(`${a}|${b}`, { [a]: "ok" }, { patterns: "*.corp.example,example.com/m" });
  for (const path of ["/git.corp.example/x/@v/list", "/example.com/m/@latest", "/example.com/m/v2/@v/v2.0.0.zip"]) {
    const error = await failureOf(fetch(parseRequest(path)));
    expect([error.code, error.details["asked"]]).toEqual(["not_found", 0]);
    expect(error.message).toMatch(/^not found: .*private[^]*GONOPROXY[^]*git is switched off here \(\[git\] enabled\)/);
  }
  expect(asked).toEqual([]);
  expect(await fetch(parseRequest("/example.com/other/@v/list"))).toBe(a);
});

describe("messages are made for go's output", () => {
  test("does not exist: what was asked, and each answer", async () => {
    const error = await failureOf(chainOf(`${a},${b},off`, {}).fetch());
    expect(error.message).toBe(
      `not found: example.com/m@v1.0.0: no source in the chain has it\n` +
        `  ${a}: answered with not_found\n  ${b}: answered with not_found`,
    );
    expect(error.details["asked"]).toBe(2);
  });

  test.each([
    ["/example.com/m/@v/list", "not found: example.com/m: "],
    ["/example.com/m/@latest", "not found: example.com/m@latest: "],
    ["/example.com/m/@v/main.info", "not found: example.com/m@main: "],
    ["/example.com/!upper/@v/v1.0.0-!r!c.1.zip", "not found: example.com/Upper@v1.0.0-RC.1: "],
  ])("%s", async (path, start) => {
    expect((await failureOf(chainOf(a, {}).fetch(parseRequest(path)))).message.startsWith(start)).toBe(true);
  });

  test("direct says that git is switched off, and what to do", async () => {
    const error = await failureOf(chainOf(`${a},direct`, {}).fetch());
    expect(error.message).toContain("'direct' is in the chain, but git is switched off here ([git] enabled)");
    expect(error.message).toContain("`direct` behind Sluice in its GOPROXY");
  });

  test("an upstream's list that ends the walk does not say that git is switched off where it is not", async () => {
    const listing: Source = {
      name: a,
      async fetch({ kind }, receive) {
        if (kind === "list") return receive({ source: a, body: body("v1.0.0\n") });
        throw new SluiceError("not_found", `${a}: answered 404`);
      },
      async close() {},
    };
    const chain = createChain({
      entries: parseChain(`${a},direct`),
      privateRules: createPrivateRules(""),
      direct: { ...listing, name: "direct" },
      open: () => listing,
    });
    const context = { signal: new AbortController().signal, client: "test" };
    const error = await failureOf(chain.fetch(parseRequest("/example.com/m/@latest"), async () => "", context));
    expect(error.message).toMatch(/^not found: .*no source in the chain has it\n.*answered 404$/);
  });

  test("off says that nobody was asked", async () => {
    const error = await failureOf(chainOf("off", {}).fetch());
    expect(error.message).toBe(
      "not found: example.com/m@v1.0.0: not stored here, and asking upstreams is switched off",
    );
    expect(error.details["asked"]).toBe(0);
  });

  test("a failure: which source, the others, and what to do", async () => {
    const error = await failureOf(
      chainOf(`${a}|${b}|${c}`, { [a]: "upstream_failed", [b]: "upstream_refused" }).fetch(),
    );
    expect(error.message).toBe(
      `example.com/m@v1.0.0: ${b}: answered with upstream_refused\n` +
        `  ${a}: answered with upstream_failed\n  ${c}: answered with not_found\n` +
        "Check Sluice's credentials for it; if this is its way to say `does not exist`, set not_found_status.",
    );
    expect([error.retryAfterSeconds, error.details["asked"]]).toEqual([7, 3]);
  });

  test.each([
    "not_found",
    "upstream_failed",
    "upstream_refused",
    "upstream_invalid",
    "integrity",
    "overloaded",
  ] as const)("%s stays short however long names and chains are", async (code) => {
    const hosts = Array.from(
      { length: 30 },
      (_, index) => `https://${"h".repeat(60)}.${index}.example/${"p".repeat(90)}`,
    );
    const outcomes = Object.fromEntries(hosts.map((host) => [host, code]));
    const path = `example.com/${"m".repeat(120)}/${"n".repeat(120)}/${"o".repeat(120)}`;
    for (const end of ["off", "direct"]) {
      const error = await failureOf(
        chainOf([...hosts, end].join("|"), outcomes).fetch(parseRequest(`/${path}/@v/v1.0.0.zip`)),
      );
      expect(error.message.split("\n").length).toBeLessThanOrEqual(8);
      expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(600);
      expect(error.message).toMatch(/\n {2}and \d+ more(\n|$)/);
      expect(error.message).toMatch(/^[\x20-\x7e\n]+$/);
      expect(error.message).not.toContain("\n\n");
    }
  });
});

test("has a name, and closes what it opened", async () => {
  const { chain, closed } = chainOf(`https://me:pw@a.example|${b},direct`, {});
  expect(chain.name).toBe(`${a}|${b},direct`);
  await chain.close();
  expect(closed).toEqual([a, b]);
});
