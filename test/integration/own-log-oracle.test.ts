import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatRecord, type NoteSigner, parseLogRequest } from "../../src/protocol/sumdb/index.ts";
import type { Answer } from "../../src/core/answer.ts";
import { isSluiceError } from "../../src/core/errors.ts";
import type { SumStore } from "../../src/core/ports.ts";
import type { OwnLog } from "../../src/sumdb/log/own-log.ts";
import { lacksOracles } from "../support/go-oracle.ts";
import { type GoSumAnswer, type GoSumClient, type GoSumRequest, startGoSumClient } from "../support/go-sum-client.ts";
import { serveHttp } from "../support/loopback.ts";
import { context, hashesOf, moduleOf, openMemorySumStore, openTestLog, ownLogSigner } from "../support/own-log.ts";

describe.skipIf(lacksOracles())("the client of golang.org/x/mod", () => {
  const first = ownLogSigner(0);
  const second = ownLogSigner(1);

  let client: GoSumClient;

  beforeEach(() => {
    client = startGoSumClient();
  });

  afterEach(async () => {
    await client.close();
  });

  it("accepts every record of a log that grows while it is asked", async () => {
    const { url } = await serveLog({});
    for (let from = 0; from < 700; from += 70) {
      const numbers = Array.from({ length: 70 }, (_, index) => from + index);
      const versions = numbers.flatMap((n) => [versionOf(n), `${versionOf(n)}/go.mod`]);
      const { found, security } = await lookUp({ url, versions });
      expect(security).toBeUndefined();
      expect(found).toEqual(numbers.flatMap((n) => [{ lines: [lineOf(n, "zip")] }, { lines: [lineOf(n, "mod")] }]));
    }
  });

  it("accepts old records under a new tree, with an empty cache", async () => {
    const { url } = await serveLog({});
    for (const n of [0, 1, 2, 300, 255, 256, 257]) await lookUp({ url, versions: [versionOf(n)] });
    await lookUp({ url, versions: Array.from({ length: 1000 }, (_, n) => versionOf(n)) });
    for (const n of [0, 256, 999]) {
      expect(await lookUp({ url, versions: [versionOf(n)], restart: true, forget: true })).toEqual({
        found: [{ lines: [lineOf(n, "zip")] }],
      });
    }
  });

  it("goes on with either key while keys are changed", async () => {
    const store = await openMemorySumStore();
    const steps: readonly [readonly NoteSigner[], NoteSigner][] = [
      [[first], first],
      [[first, second], first],
      [[first, second], second],
      [[second], second],
    ];
    for (const [n, [signers, key]] of steps.entries()) {
      const { url } = await serveLog({ store, signers });
      const versions = [versionOf(n)];
      expect(await lookUp({ url, versions, verifierKey: key.verifierKey, restart: true })).toEqual({
        found: [{ lines: [lineOf(n, "zip")] }],
      });
    }
    const { url } = await serveLog({ store, signers: [second] });
    const { found } = await lookUp({ url, versions: [versionOf(9)], restart: true });
    expect(found[0]?.error).toMatch(/note has no verifiable signatures/);
  });

  it("cannot change to a key that has not signed the last tree it saw", async () => {
    const store = await openMemorySumStore();
    const before = await serveLog({ store, signers: [first] });
    await lookUp({ url: before.url, versions: [versionOf(0)] });
    const { url } = await serveLog({ store, signers: [first, second] });
    const versions = [versionOf(1)];
    const changed = await lookUp({ url, versions, verifierKey: second.verifierKey, restart: true });
    expect(changed.found[0]?.error).toMatch(/initializing sumdb\.Client: .*note has no verifiable signatures/);
    // Once it has seen a newer tree with both signatures, it can.
    await lookUp({ url, versions, restart: true });
    const { found } = await lookUp({ url, versions, verifierKey: second.verifierKey, restart: true });
    expect(found).toEqual([{ lines: [lineOf(1, "zip")] }]);
  });

  it("goes on after a restart of the log", async () => {
    const store = await openMemorySumStore();
    for (let n = 0; n < 5; n++) {
      const { url } = await serveLog({ store });
      const { found, security } = await lookUp({ url, versions: [versionOf(n), versionOf(0)] });
      expect(security).toBeUndefined();
      expect(found.map(({ lines }) => lines)).toEqual([[lineOf(n, "zip")], [lineOf(0, "zip")]]);
    }
  });

  it("would notice a log that began anew", async () => {
    const before = await serveLog({});
    await lookUp({ url: before.url, versions: [versionOf(0), versionOf(1), versionOf(2)] });
    const after = await serveLog({});
    const { security } = await lookUp({ url: after.url, versions: [5, 6, 7, 8].map(versionOf), restart: true });
    expect(security).toMatch(/SECURITY ERROR/);
  });

  it("has the words of a refusal", async () => {
    const { url } = await serveLog({});
    const { found } = await lookUp({ url, versions: ["rsc.io/quote v1.5.2"] });
    expect(found[0]?.error).toMatch(/404 Not Found: not found: rsc\.io\/quote@v1\.5\.2: it is public/);
  });

  function lookUp(request: Omit<GoSumRequest, "verifierKey"> & { verifierKey?: string }): Promise<GoSumAnswer> {
    return client.lookUp({ verifierKey: first.verifierKey, ...request });
  }
});

interface ServedLogOptions {
  readonly store?: SumStore;
  readonly signers?: readonly NoteSigner[];
}

/** A log of our own at an address of its own, as the server has it, but without anything around. */
async function serveLog(options: ServedLogOptions): Promise<{ readonly url: string }> {
  const { log } = await openTestLog(options);
  const server = await serveHttp((request, response) => {
    ask(log, request.url?.slice(1) ?? "").then(
      ({ bytes }) => response.end(bytes),
      (error: unknown) => {
        response.statusCode = isSluiceError(error, "not_found") ? 404 : 500;
        response.end(error instanceof Error ? error.message : "");
      },
    );
  });
  return { url: server.url().href.slice(0, -1) };
}

async function ask(log: OwnLog, path: string): Promise<Answer> {
  const request = parseLogRequest(path);
  if (request.kind === "lookup") return log.lookup(request.modulePath, request.version, context);
  if (request.kind === "tile") return log.tile(request.tile, context);
  return log.latest(context);
}

function versionOf(n: number): string {
  const { modulePath, version } = moduleOf(n);
  return `${modulePath} ${version}`;
}

function lineOf(n: number, kind: "mod" | "zip"): string {
  const { modulePath, version } = moduleOf(n);
  const [zip, mod] = formatRecord(modulePath, version, hashesOf(modulePath, version)).split("\n");
  return (kind === "zip" ? zip : mod) ?? "";
}
