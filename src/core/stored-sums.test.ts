import { expect, it } from "vitest";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { hashGoMod } from "../protocol/zip/index.ts";
import { checksumMismatch } from "./checksum-mismatch.ts";
import { compareStored } from "./stored-sums.ts";

const key = "example.com/m/@v/v1.0.0.mod";
const h1 = hashGoMod(Buffer.from("stored"));

it("a rejected file is forgotten after those who were just answered with it have put it into memory", async () => {
  const memory = new Set<string>();
  let answered = Promise.resolve();
  const store = {
    confirm: () => Promise.resolve(),
    reject: async () => {
      answered = answer();
      return true;
    },
  };
  async function answer(): Promise<void> {
    // As many turns as there may be between the store and the server's memory.
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    memory.add(key);
  }
  const outcome = await compareStored(
    { key, h1, reason: "it was down", since: 1, source: "https://proxy.example" },
    { store, events: { emit: () => undefined }, onRejected: (rejected) => memory.delete(rejected) },
    () => {
      const file = { kind: "mod", h1, source: "https://proxy.example", isDirect: false } as const;
      const of = { modulePath: parseModulePath("example.com/m"), version: parseVersion("v1.0.0") };
      throw checksumMismatch({ ...file, ...of }, "sum.example.com", hashGoMod(Buffer.from("right")));
    },
  );
  await answered;
  expect(outcome).toBe("rejected");
  expect([...memory]).toEqual([]);
});
