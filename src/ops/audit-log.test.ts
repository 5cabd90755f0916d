import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import { AuditLog } from "./audit-log.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-audit-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

function failUnexpectedly(error: Error): never {
  throw error;
}

async function records(file: string): Promise<unknown[]> {
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line));
}

it("appends one line for each record, over restarts", async () => {
  const file = join(folder, "audit.log");
  for (const start of [0, 1]) {
    const log = new AuditLog({ file, onFailure: failUnexpectedly });
    for (let number = 0; number < 50; number++) log.write({ start, number, text: "a\nb" });
    await log.close();
  }
  const all = await records(file);
  expect(all).toHaveLength(100);
  expect(all.at(-1)).toStrictEqual({ start: 1, number: 49, text: "a\nb" });
});

it("puts full files away, and keeps so many", async () => {
  const file = join(folder, "audit.log");
  for (let number = 0; number < 12; number++) {
    const log = new AuditLog({ file, maxBytes: 10, keep: 2, onFailure: failUnexpectedly });
    log.write({ number });
    await log.close();
  }
  expect((await readdir(folder)).toSorted()).toStrictEqual(["audit.log", "audit.log.1", "audit.log.2"]);
  expect(await records(file)).toStrictEqual([{ number: 11 }]);
  expect(await records(`${file}.1`)).toStrictEqual([{ number: 10 }]);
  expect(await records(`${file}.2`)).toStrictEqual([{ number: 9 }]);
});

it("keeps what the disk does not take, in bounded memory, and tells that once", async () => {
  const file = join(folder, "audit.log");
  await mkdir(file);
  const failures: string[] = [];
  const log = new AuditLog({
    file,
    maxBytes: Number.MAX_SAFE_INTEGER,
    onFailure: ({ message }) => failures.push(message),
  });
  for (let number = 0; number < 1500; number++) log.write({ number });
  await log.close();
  expect(failures).toHaveLength(1);
  await rm(file, { recursive: true });
  log.write({ number: 1500 });
  await log.close();
  const all = await records(file);
  expect(all).toHaveLength(1000);
  expect(all[0]).toStrictEqual({ number: 501 });
  expect(all.at(-1)).toStrictEqual({ number: 1500 });
});
