import { describe, expect, it } from "vitest";
import { recordEvents } from "../../../test/support/recorded-events.ts";
import { SluiceError } from "../../core/errors.ts";
import type { BlobStore } from "../../core/ports.ts";
import { WriteBehind } from "./write-behind.ts";

/** A disk that does what it is told when the test lets it, and notes what that was. */
function slowDisk(options: { readonly until?: Promise<unknown>; readonly fails?: boolean } = {}) {
  const done: string[] = [];
  const work = async (what: string): Promise<void> => {
    await options.until;
    if (options.fails === true) throw new SluiceError("storage_failed", "the disk is full");
    done.push(what);
  };
  const blobs = {
    name: "disk:test",
    create: async (key: string) => {
      await work(`create ${key}`);
      return "created" as const;
    },
    delete: async (key: string) => {
      await work(`delete ${key}`);
      return true;
    },
  };
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the only two that are used
  return { blobs: blobs as unknown as BlobStore, done };
}

const content = Buffer.alloc(1000);

describe("writing behind", () => {
  it("returns before the disk does, and has what waits at hand", async () => {
    const gate = Promise.withResolvers<void>();
    const { blobs, done } = slowDisk({ until: gate.promise });
    const writes = new WriteBehind({ blobs, events: recordEvents() });
    writes.create("a", content);
    expect(writes.peek("a")).toBe(content);
    gate.resolve();
    await writes.settled();
    expect(done).toEqual(["create a"]);
    expect(writes.peek("a")).toBeUndefined();
  });

  it("writes a key once, however often it is asked to meanwhile", async () => {
    const { blobs, done } = slowDisk();
    const writes = new WriteBehind({ blobs, events: recordEvents() });
    for (let times = 0; times < 10; times++) writes.create("a", content);
    await writes.settled();
    expect(done).toEqual(["create a"]);
  });

  it("keeps the order of what happens to one key", async () => {
    const gate = Promise.withResolvers<void>();
    const { blobs, done } = slowDisk({ until: gate.promise });
    const writes = new WriteBehind({ blobs, events: recordEvents() });
    writes.create("a", content);
    writes.delete("a");
    expect(writes.peek("a")).toBeUndefined();
    gate.resolve();
    await writes.settled();
    expect(done).toEqual(["create a", "delete a"]);
  });

  it("is bounded: what has no room is not written, and that is told once", async () => {
    const gate = Promise.withResolvers<void>();
    const { blobs, done } = slowDisk({ until: gate.promise });
    const events = recordEvents();
    const writes = new WriteBehind({ blobs, events, maxBytes: 10 * (content.length + 512) });
    for (let index = 0; index < 100; index++) writes.create(`key ${index}`, content);
    expect(events.of("store_failed")).toHaveLength(1);
    gate.resolve();
    await writes.settled();
    expect(done).toHaveLength(10);
    writes.create("later", content);
    await writes.settled();
    expect(done.at(-1)).toBe("create later");
  });

  it("tells of a disk that fails, and goes on", async () => {
    const { blobs } = slowDisk({ fails: true });
    const events = recordEvents();
    const writes = new WriteBehind({ blobs, events });
    for (let index = 0; index < 10; index++) writes.create(`key ${index}`, content);
    await writes.settled();
    expect(events.of("store_failed")).toHaveLength(10);
    expect(writes.peek("key 0")).toBeUndefined();
  });
});
