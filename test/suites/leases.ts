import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Leases } from "../../src/core/fleet.ts";

export interface LeasesUnderTest {
  /** One more of those who share the leases. */
  join(): Promise<Leases>;
  remove(): Promise<void>;
}

/** What every `Leases` promises while nothing is broken. */
export function leasesSuite(name: string, open: () => Promise<LeasesUnderTest>): void {
  describe(`${name} as leases`, () => {
    let subject: LeasesUnderTest;
    let members: Leases[];
    /** What the work brings, as a store has it for everybody. */
    let done: Map<string, string>;
    let worked: string[];

    beforeEach(async () => {
      subject = await open();
      members = [];
      done = new Map();
      worked = [];
    });

    afterEach(async () => {
      for (const member of members) await member.close();
      await subject.remove();
    });

    it("gives who comes second what the first one brought", async () => {
      const [one, other] = [await join(), await join()];
      const gate = Promise.withResolvers<void>();
      const first = begin(one, "a", gate.promise);
      await first.isWorking;
      const second = begin(other, "a");
      await second.hasLooked;
      gate.resolve();
      expect(await first.result).toBe("a by 1");
      expect(await second.result).toBe("a by 1");
      expect(worked).toEqual(["a by 1"]);
    });

    it("does the work of a key once for any number who want it at once", async () => {
      const all = [await join(), await join(), await join()];
      const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`);
      const results = await Promise.all(all.flatMap((member) => keys.map((key) => begin(member, key).result)));
      expect(worked).toHaveLength(keys.length);
      expect(new Set(results)).toEqual(new Set(worked));
    });

    it("keeps nobody from another key", async () => {
      const [one, other] = [await join(), await join()];
      const gate = Promise.withResolvers<void>();
      const first = begin(one, "a", gate.promise);
      await first.isWorking;
      expect(await begin(other, "b").result).toBe("b by 2");
      gate.resolve();
      await first.result;
    });

    it("does no work that is done already", async () => {
      const one = await join();
      done.set("a", "a long ago");
      expect(await begin(one, "a").result).toBe("a long ago");
      expect(worked).toEqual([]);
    });

    it("lets a key be worked on again when it has to be", async () => {
      const [one, other] = [await join(), await join()];
      expect(await begin(one, "a").result).toBe("a by 1");
      done.delete("a");
      expect(await begin(other, "a").result).toBe("a by 2");
      done.delete("a");
      expect(await begin(one, "a").result).toBe("a by 1");
    });

    it("gives a failure to who failed; the others do the work themselves", async () => {
      const [one, other, third] = [await join(), await join(), await join()];
      const gate = Promise.withResolvers<void>();
      const first = begin(one, "a", gate.promise);
      await first.isWorking;
      const later = [begin(other, "a"), begin(third, "a")];
      for (const { hasLooked } of later) await hasLooked;
      gate.reject(new Error("the source is down"));
      await expect(first.result).rejects.toThrow("the source is down");
      for (const { result } of later) expect(await result).toMatch(/^a by [23]$/);
    });

    it("does the work all the same where what the first one brought cannot be found", async () => {
      const [one, other] = [await join(), await join()];
      const gate = Promise.withResolvers<void>();
      const first = one.run("a", { look: nothing, work: () => gate.promise });
      const second = other.run("a", { look: nothing, work: async () => "by the second" });
      gate.resolve();
      await first;
      expect(await second).toBe("by the second");
    });

    it("fails with what looking fails with", async () => {
      const one = await join();
      const look = () => Promise.reject(new Error("the store is broken"));
      await expect(one.run("a", { look, work: nothing })).rejects.toThrow("the store is broken");
      // And holds no lease any more.
      expect(await begin(await join(), "a").result).toBe("a by 2");
    });

    it("does the work at once when it is closed", async () => {
      const [one, other] = [await join(), await join()];
      const gate = Promise.withResolvers<void>();
      const first = begin(one, "a", gate.promise);
      await first.isWorking;
      await other.close();
      await other.close();
      expect(await begin(other, "a").result).toBe("a by 2");
      gate.resolve();
      await first.result;
    });

    async function join(): Promise<Leases> {
      const member = await subject.join();
      members.push(member);
      return member;
    }

    /** Work that takes until `gate`. */
    function begin(member: Leases, key: string, gate: Promise<void> = Promise.resolve()) {
      const isWorking = Promise.withResolvers<void>();
      const hasLooked = Promise.withResolvers<void>();
      const result = member.run(key, {
        look: async () => {
          hasLooked.resolve();
          return done.get(key);
        },
        work: async () => {
          isWorking.resolve();
          await gate;
          const made = `${key} by ${members.indexOf(member) + 1}`;
          worked.push(made);
          done.set(key, made);
          return made;
        },
      });
      // Some are looked at only after they have failed.
      result.catch(() => undefined);
      return { isWorking: isWorking.promise, hasLooked: hasLooked.promise, result };
    }
  });
}

async function nothing(): Promise<undefined> {}
