import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hashGoMod } from "../../src/protocol/zip/index.ts";
import type { FileFacts, Freshness, Ledger, UnverifiedFile } from "../../src/core/ports.ts";

export interface LedgerUnderTest {
  readonly ledger: Ledger;
  /** A second ledger over the same facts, as another process has it; undefined where a ledger belongs to one process. */
  readonly openAgain: (() => Promise<Ledger>) | undefined;
  readonly remove: () => Promise<void>;
}

/** What every `Ledger` promises. `open` makes an empty one. */
export function ledgerSuite(name: string, open: () => Promise<LedgerUnderTest>): void {
  describe(`${name} as a ledger`, () => {
    let subject: LedgerUnderTest;
    let ledger: Ledger;

    beforeEach(async () => {
      subject = await open();
      ({ ledger } = subject);
    });

    afterEach(async () => {
      await ledger.close();
      await subject.remove();
    });

    it("knows nothing at first", async () => {
      expect(await ledger.facts("a")).toBeUndefined();
      expect(await ledger.freshness("a")).toBeUndefined();
      expect(await ledger.lastUsed("a")).toBeUndefined();
      expect(await ledger.removeFacts("a")).toBe(false);
      expect(await ledger.removeFreshness("a")).toBe(false);
      expect(await Array.fromAsync(ledger.listFacts(""))).toEqual([]);
      expect(await ledger.removeUnverified("a")).toBe(false);
      expect(await ledger.unverified("a")).toBeUndefined();
      expect(await ledger.listUnverified("", 10)).toEqual([]);
      expect(await ledger.countUnverified()).toBe(0);
      await expect(ledger.check()).resolves.toBeUndefined();
    });

    describe("facts", () => {
      it("come back as they were added", async () => {
        const facts = [factsOf("a/@v/v1.0.0.mod"), { ...factsOf("a/@v/v1.0.0.info"), h1: undefined }];
        for (const added of facts) {
          expect(await ledger.addFacts(added)).toEqual(added);
          expect(await ledger.facts(added.key)).toEqual(added);
        }
      });

      it("hold large and odd values", async () => {
        const odd = { ...factsOf("ü/'\"%_\u{1F600}"), size: 2 ** 40, firstSeenAt: 2 ** 50, source: "https://x/?a='b'" };
        await ledger.addFacts(odd);
        expect(await ledger.facts(odd.key)).toEqual(odd);
      });

      it("are those of the first who added them", async () => {
        const first = factsOf("a");
        await ledger.addFacts(first);
        expect(await ledger.addFacts({ ...first, size: 2, source: "second" })).toEqual(first);
        expect(await ledger.facts("a")).toEqual(first);
      });

      it("are the same for all who add them at once", async () => {
        const sources = Array.from({ length: 20 }, (_, index) => `source ${index}`);
        const answers = await Promise.all(sources.map((source) => ledger.addFacts({ ...factsOf("a"), source })));
        expect(new Set(answers.map((answer) => answer.source)).size).toBe(1);
        expect(answers[0]).toEqual(await ledger.facts("a"));
      });

      it("can be removed, and added anew", async () => {
        await ledger.addFacts(factsOf("a"));
        expect(await ledger.removeFacts("a")).toBe(true);
        expect(await ledger.facts("a")).toBeUndefined();
        const anew = { ...factsOf("a"), source: "second" };
        expect(await ledger.addFacts(anew)).toEqual(anew);
      });
    });

    describe("a list of facts", () => {
      it("is in byte order of the keys and has all that start with the prefix", async () => {
        const keys = ["a/b", "a/b/c", "a/bc", "a!b", "a", "b", "B", "a/\u{1F600}", "a/\uFFEE", "a/%", "a/_"];
        for (const key of keys) await ledger.addFacts(factsOf(key));
        const inOrder = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(await listKeys(ledger, "")).toEqual(inOrder);
        expect(await listKeys(ledger, "a/b")).toEqual(["a/b", "a/b/c", "a/bc"]);
        expect(await listKeys(ledger, "a/%")).toEqual(["a/%"]);
        expect(await listKeys(ledger, "a/_")).toEqual(["a/_"]);
        expect(await listKeys(ledger, "c")).toEqual([]);
      });

      it("is complete when it is long and changed under way", async () => {
        const keys = Array.from({ length: 1203 }, (_, index) => `k${String(index).padStart(5, "0")}`);
        await Promise.all(keys.map((key) => ledger.addFacts(factsOf(key))));
        const seen: string[] = [];
        for await (const { key } of ledger.listFacts("k")) {
          seen.push(key);
          await ledger.removeFacts(key);
        }
        expect(seen).toEqual(keys);
        expect(await listKeys(ledger, "")).toEqual([]);
      });
    });

    describe("freshness", () => {
      it("is the last that was set, and knows the content before", async () => {
        const first: Freshness = { key: "a", sha256: "11", source: "one", checkedAt: 1 };
        await ledger.setFreshness(first);
        expect(await ledger.freshness("a")).toEqual({ ...first, previousSha256: undefined });
        const second: Freshness = { key: "a", sha256: "22", source: "two", checkedAt: 2 };
        await ledger.setFreshness(second);
        expect(await ledger.freshness("a")).toEqual({ ...second, previousSha256: "11" });
        await ledger.setFreshness({ ...second, checkedAt: 3 });
        expect(await ledger.freshness("a")).toEqual({ ...second, checkedAt: 3, previousSha256: "11" });
      });

      it("can be removed, and is no fact", async () => {
        await ledger.setFreshness({ key: "a", sha256: "11", source: "one", checkedAt: 1 });
        expect(await ledger.facts("a")).toBeUndefined();
        expect(await ledger.removeFreshness("a")).toBe(true);
        expect(await ledger.freshness("a")).toBeUndefined();
      });
    });

    describe("the last use", () => {
      it("is known at once, of any key", async () => {
        ledger.touch("a", 5);
        expect(await ledger.lastUsed("a")).toBe(5);
        ledger.touch("a", 7);
        expect(await ledger.lastUsed("a")).toBe(7);
        expect(await ledger.lastUsed("b")).toBeUndefined();
      });

      it("is remembered when there were very many", async () => {
        for (let index = 0; index < 20_000; index++) ledger.touch(`k${index}`, index);
        expect(await ledger.lastUsed("k0")).toBe(0);
        expect(await ledger.lastUsed("k19999")).toBe(19_999);
      });
    });

    describe("unverified files", () => {
      it("come back as they were added, the last time", async () => {
        await ledger.addUnverified(unverified("a/@v/v1.0.0.mod"));
        const later = {
          ...unverified("a/@v/v1.0.0.mod"),
          h1: hashGoMod(Buffer.from("x")),
          reason: 'it\'s "ü"',
          since: 2,
        };
        await ledger.addUnverified(later);
        expect(await ledger.listUnverified("", 10)).toEqual([later]);
        expect(await ledger.unverified(later.key)).toEqual(later);
        expect(await ledger.countUnverified()).toBe(1);
      });

      it("are no facts, and facts are not unverified", async () => {
        await ledger.addUnverified(unverified("a"));
        await ledger.addFacts(factsOf("b"));
        expect(await ledger.facts("a")).toBeUndefined();
        expect(await ledger.listUnverified("", 10)).toEqual([unverified("a")]);
        await ledger.removeFacts("a");
        expect(await ledger.countUnverified()).toBe(1);
      });

      it("can be removed, once", async () => {
        await ledger.addUnverified(unverified("a"));
        expect(await ledger.removeUnverified("a")).toBe(true);
        expect(await ledger.removeUnverified("a")).toBe(false);
        expect(await ledger.countUnverified()).toBe(0);
      });

      it("are listed page by page, in byte order of the keys", async () => {
        const keys = ["a/b", "a!b", "a", "b", "B", "a/\u{1F600}", "a/\uFFEE"];
        for (const key of keys) await ledger.addUnverified(unverified(key));
        const inOrder = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const seen: string[] = [];
        for (let page = await ledger.listUnverified("", 3); page.length > 0;) {
          expect(page.length).toBeLessThanOrEqual(3);
          seen.push(...page.map(({ key }) => key));
          page = await ledger.listUnverified(seen.at(-1) ?? "", 3);
        }
        expect(seen).toEqual(inOrder);
      });
    });

    describe("opened again", () => {
      it("knows everything, uses included", async () => {
        const again = await reopen();
        if (again === undefined) return;
        expect(await again.facts("a")).toEqual(factsOf("a"));
        expect(await again.freshness("a")).toMatchObject({ sha256: "11", checkedAt: 1 });
        expect(await again.lastUsed("a")).toBe(5);
        expect(await again.listUnverified("", 10)).toEqual([unverified("a")]);
        await again.close();
      });

      async function reopen(): Promise<Ledger | undefined> {
        await ledger.addFacts(factsOf("a"));
        await ledger.setFreshness({ key: "a", sha256: "11", source: "one", checkedAt: 1 });
        await ledger.addUnverified(unverified("a"));
        ledger.touch("a", 5);
        await ledger.close();
        return subject.openAgain?.();
      }
    });

    it("shares everything with another process at once", async () => {
      const other = await subject.openAgain?.();
      if (other === undefined) return;
      const keys = Array.from({ length: 50 }, (_, index) => `k${index}`);
      await Promise.all(
        keys.flatMap((key) => [
          ledger.addFacts({ ...factsOf(key), source: "one" }),
          other.addFacts({ ...factsOf(key), source: "other" }),
        ]),
      );
      for (const key of keys) expect(await ledger.facts(key)).toEqual(await other.facts(key));
      ledger.touch("a", 9);
      other.touch("a", 5);
      await other.close();
      expect(await ledger.lastUsed("a")).toBe(9);
    });

    it("refuses in words when it is closed", async () => {
      await ledger.close();
      await expect(ledger.facts("a")).rejects.toMatchObject({
        code: "storage_failed",
        message: expect.stringContaining("closed"),
      });
      await ledger.close();
    });
  });
}

export function factsOf(key: string): FileFacts {
  return {
    key,
    size: 1,
    sha256: "ab".repeat(32),
    h1: hashGoMod(Buffer.from(key)),
    source: "https://first.example",
    firstSeenAt: 1,
  };
}

function unverified(key: string): UnverifiedFile {
  return { key, h1: hashGoMod(Buffer.from(key)), reason: "the log did not answer", since: 1 };
}

async function listKeys(ledger: Ledger, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(ledger.listFacts(prefix))).map(({ key }) => key);
}
