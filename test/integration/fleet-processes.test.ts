import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import type { FleetMessage, Messages } from "../../src/core/fleet.ts";
import { tryParseMessage } from "../../src/fleet/message-format.ts";
import { bridgeMessages, createMessageHub, type MessageHub } from "../../src/fleet/message-hub.ts";
import { selectKeys } from "../../src/core/purge.ts";
import { createProcessMessages, type ProcessChannel } from "../../src/fleet/process-messages.ts";
import { keptOf, listenTo, messagesSuite } from "../suites/messages.ts";
import { recordEvents } from "../support/recorded-events.ts";

const script = path.resolve(import.meta.dirname, "../support/fleet-member.ts");
const events = { emit: () => undefined };

messagesSuite("processes with a hub in their parent", async () => {
  const hub = createMessageHub();
  const children: ChildProcess[] = [];
  return {
    join: async () => {
      const child = fork(script, { stdio: ["pipe", "pipe", "inherit", "ipc"] });
      children.push(child);
      return memberIn(child, hub);
    },
    remove: async () => {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill("SIGKILL");
        await once(child, "exit");
      }
    },
  };
});

describe("messages between processes", () => {
  test("what is no message, or one of a later version, is passed over and counted", async () => {
    const recorded = recordEvents();
    const ends = pair();
    const messages = createProcessMessages(ends.ours, { name: "other", events: recorded });
    const heard = listenTo(messages);
    for (const sent of [
      "text",
      null,
      { cmd: "something else" },
      { sluiceFleet: undefined },
      { sluiceFleet: { type: "kept" } },
      { sluiceFleet: { type: "kept", key: "" } },
      { sluiceFleet: { type: "spent", clients: [["a", -1]] } },
      { sluiceFleet: { type: "of a later version", key: "a" } },
      { sluiceFleet: { ...keptOf(1), added: "later" } },
    ]) {
      ends.arrive(sent);
    }
    expect(heard.all).toEqual([keptOf(1)]);
    expect(recorded.of("fleet_message").map(({ direction, kind }) => `${direction} ${kind}`)).toEqual([
      ...Array<string>(5).fill("dropped unknown"),
      "in kept",
    ]);
  });

  test("what a stopped process does not take is dropped beyond a bound, and sent again once it takes it", async () => {
    const ends = pair();
    const recorded = recordEvents();
    const messages = createProcessMessages(ends.ours, { name: "other", events: recorded });
    for (let n = 0; n < 1500; n++) messages.publish(keptOf(n));
    expect(ends.sent).toHaveLength(1000);
    ends.takeAll();
    messages.publish(keptOf(1));
    expect(ends.sent).toHaveLength(1001);
    expect(recorded.of("fleet_message").filter(({ direction }) => direction === "dropped")).toHaveLength(500);
  });

  test("what a stopped process has to know is told when it takes something again, each once", () => {
    const ends = pair();
    const recorded = recordEvents();
    const messages = createProcessMessages(ends.ours, { name: "other", events: recorded });
    for (let n = 0; n < 1000; n++) messages.publish(keptOf(n));
    const owed: FleetMessage[] = [
      { type: "purged", selection: { module: "example.com/m" } },
      ...Array.from({ length: 2500 }, (_, n): FleetMessage => ({
        type: "rejected",
        key: `example.com/m${n}/@v/v1.0.0.zip`,
      })),
      { type: "offline", isOffline: false },
    ];
    messages.publish({ type: "offline", isOffline: true });
    for (const message of [...owed, ...owed]) messages.publish(message);
    expect(ends.sent).toHaveLength(1000);
    for (const _ of [1, 2, 3, 4]) ends.takeAll();
    const told = ends.sent.slice(1000).map((sent) => JSON.stringify(sent));
    expect(told.toSorted()).toEqual(owed.map((message) => JSON.stringify({ sluiceFleet: message })).toSorted());
    expect(recorded.of("fleet_message").filter(({ direction }) => direction === "dropped")).toEqual([]);
  });

  test("many purges that a stopped process has to know become one of everything", () => {
    const ends = pair();
    const messages = createProcessMessages(ends.ours, { name: "other", events });
    for (let n = 0; n < 1000; n++) messages.publish(keptOf(n));
    for (let n = 0; n < 5000; n++) messages.publish({ type: "purged", selection: { module: `example.com/m${n}` } });
    ends.takeAll();
    const told = ends.sent.slice(1000);
    expect(told).toEqual([{ sluiceFleet: { type: "purged", selection: { pattern: "*" } } }]);
    const isMeant = selectKeys({ pattern: "*" });
    for (const key of ["example.com/m4999/@v/list", "a/@latest", "example.com/!a/b/v2/@v/main.info"])
      expect(isMeant(key)).toBe(true);
  });

  test("a child that is gone costs nothing", async () => {
    const child = fork(script, { stdio: ["pipe", "pipe", "inherit", "ipc"] });
    const recorded = recordEvents();
    const messages = createProcessMessages(child, { name: "child", events: recorded });
    child.kill("SIGKILL");
    await once(child, "exit");
    messages.publish(keptOf(1));
    expect(recorded.of("fleet_message").map(({ direction }) => direction)).toEqual(["dropped"]);
    await messages.close();
  });
});

/** A member of the fleet that lives in `child`, told and heard by lines. */
async function memberIn(child: ChildProcess, hub: MessageHub): Promise<Messages> {
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("the child has no pipes");
  const listeners = new Set<(message: FleetMessage) => void>();
  const ready = Promise.withResolvers<void>();
  let isClosed = false;
  createInterface({ input: stdout }).on("line", (line) => {
    if (line === "ready") return ready.resolve();
    const message = tryParseMessage(JSON.parse(line));
    if (message !== undefined) for (const listener of listeners) listener(message);
  });
  bridgeMessages(hub.join("bridge"), createProcessMessages(child, { name: "child", events }));
  await ready.promise;
  return {
    name: "a child",
    publish: (message) => void (isClosed || stdin.write(`${JSON.stringify(message)}\n`)),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      if (isClosed) return;
      isClosed = true;
      stdin.end();
      await once(child, "exit");
    },
  };
}

/** One end of a pipe whose other end a test has in its hands. */
function pair() {
  const listeners = new Set<(message: unknown) => void>();
  const sent: unknown[] = [];
  const taken: (() => void)[] = [];
  const ours: ProcessChannel = {
    connected: true,
    send(message, callback) {
      sent.push(message);
      taken.push(() => callback(null));
      return true;
    },
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
  };
  return {
    ours,
    sent,
    arrive: (message: unknown) => {
      for (const listener of listeners) listener(message);
    },
    takeAll: () => {
      for (const take of taken.splice(0)) take();
    },
  };
}
