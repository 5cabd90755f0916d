import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { formatRecord, type NoteSigner } from "../../src/protocol/sumdb/index.ts";
import type { SumStore } from "../../src/core/ports.ts";
import { lacksOracles } from "../support/go-oracle.ts";
import { type GoSumAnswer, type GoSumClient, type GoSumRequest, startGoSumClient } from "../support/go-sum-client.ts";
import { hashesOf, moduleOf, openMemorySumStore, openTestLog, ownLogSigner } from "../support/own-log.ts";
import { serveLog as serve } from "../support/served-log.ts";

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

/** A log of our own with these parts, at an address of its own. */
async function serveLog(parts: {
  readonly store?: SumStore;
  readonly signers?: readonly NoteSigner[];
}): Promise<{ readonly url: string }> {
  const { log } = await openTestLog(parts);
  return serve(log);
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
