import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FleetMessage, Messages } from "../../src/core/fleet.ts";

export interface MessagesUnderTest {
  /** One more of those who hear each other, ready to hear. */
  join(): Promise<Messages>;
  remove(): Promise<void>;
}

const kinds: readonly FleetMessage[] = [
  { type: "purged", selection: { keys: ["example.com/m/@v/list", "example.com/!upper/@latest"] } },
  { type: "purged", selection: { module: "example.com/m", onlyMissing: true } },
  { type: "purged", selection: { pattern: "example.com/*,other.example" } },
  { type: "rejected", key: "example.com/m/@v/v1.0.0.zip" },
  { type: "kept", key: "example.com/m/@v/v1.0.0.info" },
  {
    type: "spent",
    clients: [
      ["192.0.2.1", 3],
      ["2001:db8::1", 200],
    ],
  },
  { type: "offline", isOffline: true },
  { type: "offline", isOffline: false },
];

/** What every `Messages` promises while nothing stands between its members. */
export function messagesSuite(name: string, open: () => Promise<MessagesUnderTest>): void {
  describe(`${name} as messages`, () => {
    let subject: MessagesUnderTest;
    let members: Messages[];

    beforeEach(async () => {
      subject = await open();
      members = [];
    });

    afterEach(async () => {
      for (const member of members) await member.close();
      await subject.remove();
    });

    it.each(kinds.map((message) => [JSON.stringify(message), message] as const))(
      "brings %s as it is",
      async (_, message) => {
        const [one, other] = [await join(), await join()];
        const heard = listenTo(other);
        one.publish(message);
        expect(await heard.first(1)).toEqual([message]);
      },
    );

    it("brings a message to everybody else, and none to who published it", async () => {
      const [one, other, third] = [await join(), await join(), await join()];
      const [byOne, byOther, byThird] = [listenTo(one), listenTo(other), listenTo(third)];
      one.publish(keptOf(1));
      expect(await byOther.first(1)).toEqual([keptOf(1)]);
      expect(await byThird.first(1)).toEqual([keptOf(1)]);
      other.publish(keptOf(2));
      expect(await byOne.first(1)).toEqual([keptOf(2)]);
      expect(await byThird.first(2)).toEqual([keptOf(1), keptOf(2)]);
      expect(byOther.all).toEqual([keptOf(1)]);
    });

    it("brings lists of any length", async () => {
      const [one, other] = [await join(), await join()];
      const heard = listenTo(other);
      const keys = Array.from({ length: 1234 }, (_, index) => `example.com/m${index}/@v/list`);
      const clients = keys.map((_, index) => [`192.0.2.1:${index}`, index + 1] as const);
      one.publish({ type: "purged", selection: { keys, onlyMissing: true } });
      one.publish({ type: "spent", clients });
      one.publish(keptOf(1));
      const messages = await heard.until(keptOf(1));
      const purged = messages.flatMap((message) =>
        message.type === "purged" && "keys" in message.selection && message.selection.onlyMissing === true
          ? message.selection.keys
          : [],
      );
      expect(purged).toEqual(keys);
      expect(messages.flatMap((message) => (message.type === "spent" ? message.clients : []))).toEqual(clients);
    });

    it("brings each of many messages to every listener", async () => {
      const [one, other] = [await join(), await join()];
      const [heard, heardToo] = [listenTo(other), listenTo(other)];
      for (let n = 0; n < 200; n++) one.publish(keptOf(n));
      const expected = Array.from({ length: 200 }, (_, n) => keptOf(n));
      expect(await heard.first(200)).toEqual(expected);
      expect(await heardToo.first(200)).toEqual(expected);
    });

    it("brings nothing to who no longer listens", async () => {
      const [one, other] = [await join(), await join()];
      const [ended, heard] = [listenTo(other), listenTo(other)];
      one.publish(keptOf(1));
      await heard.first(1);
      ended.end();
      one.publish(keptOf(2));
      await heard.first(2);
      expect(ended.all).toEqual([keptOf(1)]);
    });

    it("is deaf and dumb once it is closed, and that is no failure", async () => {
      const [one, other, third] = [await join(), await join(), await join()];
      const [byOne, byOther, byThird] = [listenTo(one), listenTo(other), listenTo(third)];
      await one.close();
      await one.close();
      one.publish(keptOf(1));
      other.publish(keptOf(2));
      expect(await byThird.first(1)).toEqual([keptOf(2)]);
      expect(byOne.all).toEqual([]);
      expect(byOther.all).toEqual([]);
    });

    async function join(): Promise<Messages> {
      const member = await subject.join();
      members.push(member);
      return member;
    }
  });
}

export interface Heard {
  readonly all: readonly FleetMessage[];
  /** The first so many, once they are there. */
  first(count: number): Promise<readonly FleetMessage[]>;
  /** Everything up to the first one that is like this. */
  until(last: FleetMessage): Promise<readonly FleetMessage[]>;
  end(): void;
}

export function listenTo(messages: Messages): Heard {
  const all: FleetMessage[] = [];
  const waiting = new Set<() => void>();
  const end = messages.subscribe((message) => {
    all.push(message);
    for (const wake of waiting) wake();
  });
  const when = async (isThere: () => boolean): Promise<readonly FleetMessage[]> => {
    while (!isThere()) {
      const next = Promise.withResolvers<void>();
      waiting.add(next.resolve);
      await next.promise;
      waiting.delete(next.resolve);
    }
    return all;
  };
  return {
    all,
    end,
    first: async (count) => (await when(() => all.length >= count)).slice(0, count),
    until: (last) => when(() => all.some((message) => JSON.stringify(message) === JSON.stringify(last))),
  };
}

export function keptOf(n: number): FleetMessage {
  return { type: "kept", key: `example.com/m/@v/v1.${n}.0.info` };
}
