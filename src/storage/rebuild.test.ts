import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fixtureFiles } from "../../test/support/fixture-modules.ts";
import { openTestStore, type StoreParts } from "../../test/support/module-stores.ts";
import {
  keepGood,
  modKey,
  type ModuleStoreUnderTest,
  overwrite,
  requestFor,
  zipKey,
} from "../../test/suites/module-store.ts";
import { rebuildLedger } from "./rebuild.ts";

const fixture = fixtureFiles();
const immutable = [...fixture.keys()].filter((key) => /\/@v\/v\d.*\.(info|mod|zip)$/.test(key));

describe("rebuilding the ledger", () => {
  let subject: ModuleStoreUnderTest & StoreParts;

  beforeEach(async () => {
    subject = await openTestStore();
    for (const [key, bytes] of fixture) await subject.blobs.create(key, { bytes });
  });

  afterEach(async () => {
    await subject.store.close();
    await subject.remove();
  });

  it("finds out the facts of every file, once", async () => {
    // Of these, the one that is a query and not a file of a version: example.com/legacy v3.0.0, which is v3.0.0+incompatible.
    const files = immutable.filter((key) => key !== "example.com/legacy/@v/v3.0.0.info");
    expect(await rebuildLedger({ ...subject, concurrency: 3 })).toEqual({
      known: 0,
      adopted: files.length,
      refused: 0,
    });
    expect((await Array.fromAsync(subject.ledger.listFacts(""))).map(({ key }) => key)).toEqual(files.toSorted());
    expect(await rebuildLedger(subject)).toEqual({ known: files.length, adopted: 0, refused: 0 });
    expect(subject.events.all).toEqual([]);
  });

  it("sets broken files aside and leaves other files alone", async () => {
    await overwrite(subject.blobs, modKey, Buffer.alloc(0));
    await overwrite(subject.blobs, zipKey, Buffer.from("no zip"));
    const others = [
      "lock",
      "example.com/leaf/@v/v1.0.0.lock",
      "example.com/leaf/@v/v1.0.0.partial",
      "sumdb/sum.golang.org/latest",
    ];
    for (const key of others) await subject.blobs.create(key, { bytes: Buffer.alloc(0) });
    expect(await rebuildLedger(subject)).toMatchObject({ refused: 2 });
    expect(
      subject.events
        .of("file_corrupt")
        .map(({ key }) => key)
        .toSorted(),
    ).toEqual([modKey, zipKey]);
    expect(await readdir(path.join(subject.folder, "quarantine"))).toHaveLength(2);
    for (const key of others) expect(await subject.blobs.stat(key)).toBeDefined();
  });

  it("stops when it is told to", async () => {
    const { adopted } = await rebuildLedger({ ...subject, signal: AbortSignal.abort() });
    expect(adopted).toBe(0);
  });

  it("leaves known facts as they are", async () => {
    await subject.blobs.delete(zipKey);
    await keepGood(subject, zipKey);
    const facts = await subject.ledger.facts(zipKey);
    await rebuildLedger(subject);
    expect(await subject.ledger.facts(zipKey)).toEqual(facts);
    expect(await subject.store.read(requestFor(zipKey))).toMatchObject({ source: facts?.source });
  });
});
