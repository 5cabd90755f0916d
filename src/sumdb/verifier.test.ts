import { beforeEach, describe, expect, it } from "vitest";
import { createManualClock, type ManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents, type RecordedEvents } from "../../test/support/recorded-events.ts";
import { SluiceError } from "../core/errors.ts";
import type { FetchContext, LogRecord, SumFile } from "../core/ports.ts";
import type { H1 } from "../protocol/brand.ts";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { formatRecord } from "../protocol/sumdb/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { createSumVerifier, type PrivateLog, type SumVerifierOptions } from "./verifier.ts";

const modulePath = parseModulePath("example.com/m");
const version = parseVersion("v1.0.0");
const right = { mod: h1("go.mod"), zip: h1("zip") };
const record: LogRecord = { id: 7, text: formatRecord(modulePath, version, right) };
const outage = new SluiceError("upstream_failed", "sum.example.com: refused the connection\nmore");
const absent = new SluiceError("not_found", "not found");

let clock: ManualClock;
let events: RecordedEvents;
/** What the log says next, and always after the last one. */
let answers: (LogRecord | Error | Promise<LogRecord>)[];
let asked: string[];

beforeEach(() => {
  clock = createManualClock();
  events = recordEvents();
  answers = [record];
  asked = [];
});

function h1(text: string): H1 {
  return hashGoMod(Buffer.from(text));
}

function file(changed: Partial<SumFile> = {}): SumFile {
  return {
    kind: "zip",
    modulePath,
    version,
    h1: right.zip,
    source: "https://proxy.example",
    isDirect: false,
    ...changed,
  };
}

function context(signal = new AbortController().signal): FetchContext {
  return { signal, client: "test" };
}

function verifier(changed: Partial<SumVerifierOptions> = {}) {
  return createSumVerifier({
    publicLog: {
      name: "sum.example.com",
      lookup: async (path, of) => {
        asked.push(`${path}@${of}`);
        const answer = await (answers.length > 1 ? answers.shift() : answers[0]);
        if (answer === undefined || answer instanceof Error) throw answer ?? absent;
        return answer;
      },
    },
    isPrivate: (path) => path.startsWith("corp.example/"),
    isRequired: false,
    clock,
    events,
    ...changed,
  });
}

/** The promise's outcome, after `ms`. */
async function outcomeAfter<T>(ms: number, promise: Promise<T>): Promise<T | "pending"> {
  const settled = promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  await clock.advance(ms);
  const first = await Promise.race([settled, Promise.resolve()]);
  if (first === undefined) return "pending";
  if ("error" in first) throw first.error;
  return first.value;
}

describe("a public file", () => {
  it.each(["mod", "zip"] as const)("whose hash is in the log is verified: %s", async (kind) => {
    const verdict = await verifier().check(file({ kind, h1: right[kind] }), context());
    expect(verdict).toEqual({ state: "verified", database: "sum.example.com" });
    expect(events.all).toEqual([
      {
        type: "sum_checked",
        key: `example.com/m/@v/v1.0.0.${kind}`,
        database: "sum.example.com",
        outcome: "verified",
        source: "https://proxy.example",
      },
    ]);
  });

  it.each([
    ["mod", "example.com/m@v1.0.0/go.mod"],
    ["zip", "example.com/m@v1.0.0"],
  ] as const)("with another hash is refused in go's words: %s", async (kind, name) => {
    const refused = verifier().check(file({ kind, h1: h1("tampered") }), context());
    const message = [
      `verifying ${name}: checksum mismatch`,
      `  downloaded: ${h1("tampered")}`,
      `  sum.example.com: ${right[kind]}`,
      "  https://proxy.example sent it: its copy was changed, or the version was, after it was first seen. Nothing of it was kept; find out which it is.",
    ].join("\n");
    await expect(refused).rejects.toMatchObject({ code: "integrity", message });
    expect(events.of("sum_checked")).toMatchObject([
      { outcome: "mismatch", database: "sum.example.com", reason: `verifying ${name}: checksum mismatch` },
    ]);
  });

  it.each([true, false])("with another hash is refused however it came and whatever is required: %s", async (flag) => {
    const refused = verifier({ isRequired: flag }).check(file({ h1: h1("tampered"), isDirect: !flag }), context());
    await expect(refused).rejects.toMatchObject({ code: "integrity" });
  });

  it.each([true, false])(
    "goes on without a word where there is no log, and is remembered as not compared: %s",
    async (isDirect) => {
      const sums = verifier({ publicLog: undefined });
      sums.prepare(modulePath, version, "test");
      const uncompared = { state: "unverified", database: undefined, reason: expect.stringContaining("sumdb.verify") };
      expect(await sums.check(file({ isDirect }), context())).toMatchObject(uncompared);
      expect(await sums.recheck(file({ isDirect }), context())).toMatchObject(uncompared);
      expect(events.all).toEqual([]);
    },
  );

  it("costs one look-up for all its files and all who ask, which may begin before", async () => {
    const sums = verifier();
    sums.prepare(modulePath, version, "test");
    sums.prepare(modulePath, version, "test");
    await Promise.all([sums.check(file(), context()), sums.check(file({ kind: "mod", h1: right.mod }), context())]);
    await sums.check(file(), context());
    expect(asked).toEqual(["example.com/m@v1.0.0"]);
  });
});

describe.each([
  ["cannot be asked", outage, "sum.example.com cannot be asked: sum.example.com: refused the connection", false],
  ["does not have it", absent, "sum.example.com does not have it", true],
  [
    "has another line only",
    { id: 1, text: formatRecord(parseModulePath("example.com/x"), version, right) },
    "sum.example.com has no hash of it",
    true,
  ],
] as const)("when the log %s", (_name, answer, reason, isAnswered) => {
  beforeEach(() => {
    answers = [answer];
  });

  it("a file from a proxy of the chain goes on unverified", async () => {
    const verdict = await verifier().check(file(), context());
    expect(verdict).toEqual({ state: "unverified", database: "sum.example.com", reason, isAnswered });
    expect(events.of("sum_checked")).toMatchObject([{ outcome: "unverified", reason }]);
  });

  it.each([
    ["straight from a repository", { isDirect: true }, {}, /straight from its repository/],
    ["where it is required", {}, { isRequired: true }, /sumdb\.verify = "required"/],
  ])("a file %s is refused", async (_case, changed, options, why) => {
    const refused = verifier(options).check(file(changed), context());
    await expect(refused).rejects.toMatchObject({
      code: "unverified",
      message: expect.stringMatching(why),
      retryAfterSeconds: isAnswered ? 60 : 10,
    });
    await expect(refused).rejects.toThrow(`verifying example.com/m@v1.0.0: ${reason}\n`);
    expect(events.of("sum_checked")).toMatchObject([{ outcome: "refused", reason }]);
  });

  it("a file that is kept already is never refused for it", async () => {
    const verdict = await verifier({ isRequired: true }).recheck(file({ isDirect: true }), context());
    expect(verdict).toMatchObject({ state: "unverified", reason, isAnswered });
    // That was told when it was kept.
    expect(events.all).toEqual([]);
  });
});

it("what the log has said is believed for half a minute: an operator may have found out that its history was a false one", async () => {
  const other = { id: 7, text: formatRecord(modulePath, version, { ...right, zip: h1("the true one") }) };
  answers = [record, other];
  const sums = verifier();
  await sums.check(file(), context());
  await clock.advance(29_000);
  expect(await sums.check(file(), context())).toMatchObject({ state: "verified" });
  await clock.advance(1000);
  await expect(sums.check(file(), context())).rejects.toMatchObject({ code: "integrity" });
  expect(asked).toHaveLength(2);
});

describe("after the log could not be asked", () => {
  it("the next file asks it again", async () => {
    answers = [outage, record];
    const sums = verifier();
    expect(await sums.check(file({ kind: "mod", h1: right.mod }), context())).toMatchObject({ state: "unverified" });
    expect(await sums.check(file(), context())).toMatchObject({ state: "verified" });
  });

  it("that it has no record is believed for half a minute", async () => {
    answers = [absent, record];
    const sums = verifier();
    await sums.check(file({ kind: "mod", h1: right.mod }), context());
    await clock.advance(29_000);
    expect(await sums.check(file(), context())).toMatchObject({ state: "unverified" });
    expect(asked).toHaveLength(1);
    await clock.advance(1000);
    expect(await sums.check(file(), context())).toMatchObject({ state: "verified" });
  });
});

describe("a log that hangs", () => {
  beforeEach(() => {
    answers = [new Promise(() => undefined)];
  });

  it("is waited for ten seconds, then half a second for each, and again ten when half a minute went by", async () => {
    const sums = verifier();
    const late = { state: "unverified", reason: "sum.example.com did not answer in time", isAnswered: false };
    const first = sums.check(file(), context());
    expect(await outcomeAfter(9999, first)).toBe("pending");
    expect(await outcomeAfter(1, first)).toMatchObject(late);
    const second = sums.check(file(), context());
    expect(await outcomeAfter(499, second)).toBe("pending");
    expect(await outcomeAfter(1, second)).toMatchObject(late);
    await clock.advance(30_000);
    const third = sums.check(file(), context());
    expect(await outcomeAfter(9999, third)).toBe("pending");
    expect(await outcomeAfter(1, third)).toMatchObject(late);
  });

  it("and answers late is still of use to the next", async () => {
    const answer = Promise.withResolvers<LogRecord>();
    answers = [answer.promise];
    const sums = verifier();
    expect(await outcomeAfter(10_000, sums.check(file(), context()))).toMatchObject({ state: "unverified" });
    answer.resolve(record);
    expect(await sums.check(file(), context())).toMatchObject({ state: "verified" });
    expect(asked).toHaveLength(1);
  });

  it.each([
    ["required", { isRequired: true }, {}],
    ["straight from a repository", {}, { isDirect: true }],
  ])("is waited for until nobody waits any more when the file is %s", async (_name, options, changed) => {
    const leaving = new AbortController();
    const checking = verifier(options).check(file(changed), context(leaving.signal));
    expect(await outcomeAfter(60_000, checking)).toBe("pending");
    leaving.abort();
    await expect(checking).rejects.toMatchObject({ code: "cancelled" });
  });

  it("leaves no timer behind when it answers after all", async () => {
    const answer = Promise.withResolvers<LogRecord>();
    answers = [answer.promise];
    const checking = verifier().check(file(), context());
    await expect.poll(() => clock.sleeping).toBe(1);
    answer.resolve(record);
    await checking;
    expect(clock.sleeping).toBe(0);
  });
});

describe("a log that lies or has two histories", () => {
  const fork = new SluiceError("integrity", "sum.example.com shows two histories: see `sluice sumdb status`");

  it.each([
    ["a file from a proxy", {}, {}],
    ["a file where it is required", { isRequired: true }, {}],
    ["a file straight from a repository", {}, { isDirect: true }],
  ])("is no reason to take %s", async (_name, options, changed) => {
    answers = [fork];
    const refused = verifier(options).check(file(changed), context());
    await expect(refused).rejects.toMatchObject({
      code: "integrity",
      message: `verifying example.com/m@v1.0.0: ${fork.message}`,
      details: { permanent: true },
    });
    await expect(refused).rejects.not.toMatchObject({ details: { mismatch: true } });
    expect(events.of("sum_checked")).toMatchObject([{ outcome: "refused", database: "sum.example.com" }]);
  });
});

describe("a private file", () => {
  const secret = { modulePath: parseModulePath("corp.example/secret"), isDirect: true };
  const privateLog = (said: H1 | undefined | Error): PrivateLog => ({
    name: "sum.corp.example",
    findHash: async () => {
      if (said instanceof Error) throw said;
      return said;
    },
  });

  it("is never asked of the public log", async () => {
    const sums = verifier({ isRequired: true });
    sums.prepare(secret.modulePath, version, "test");
    expect(await sums.check(file(secret), context())).toEqual({ state: "exempt" });
    expect(await sums.recheck(file(secret), context())).toEqual({ state: "exempt" });
    expect(asked).toEqual([]);
  });

  it("that our own log does not have yet is exempt", async () => {
    const sums = verifier({ isRequired: true, privateLog: privateLog(undefined) });
    expect(await sums.check(file(secret), context())).toEqual({ state: "exempt" });
  });

  it("is compared with our own log", async () => {
    const sums = verifier({ privateLog: privateLog(right.zip) });
    expect(await sums.check(file(secret), context())).toEqual({ state: "verified", database: "sum.corp.example" });
    const moved = sums.check(file({ ...secret, h1: h1("moved") }), context());
    await expect(moved).rejects.toMatchObject({
      code: "integrity",
      message: expect.stringContaining(`  downloaded: ${h1("moved")}\n  sum.corp.example: ${right.zip}\n`),
    });
    expect(asked).toEqual([]);
  });

  it("is refused when our own log cannot be read, as nobody knows then whether it was moved", async () => {
    const broken = new SluiceError("storage_failed", "the log's file is damaged");
    const refused = verifier({ privateLog: privateLog(broken) }).check(file(secret), context());
    await expect(refused).rejects.toMatchObject({ code: "unverified" });
  });
});
