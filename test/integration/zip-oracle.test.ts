import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { ProtocolError } from "../../src/protocol/error.ts";
import { foldName } from "../../src/protocol/zip/fold.ts";
import { checkFiles, createHashedZip, createZip, hashZip, type SourceFile } from "../../src/protocol/zip/index.ts";
import { askOracle, lacksOracles } from "../support/go-oracle.ts";
import { rawZip } from "../support/raw-zip.ts";
import { damagedZip, sourceTree } from "../support/zip-arbitraries.ts";
import { other, root, sampleModule, strictAccess } from "../support/zip-sample.ts";

const seed = 20_260_101;
const oracleTimeoutMs = 300_000;

const problems = z.array(z.object({ path: z.string(), reason: z.string() }));
const createdSchema = z.object({
  valid: z.array(z.string()),
  omitted: problems,
  invalid: problems,
  sizeProblem: z.string(),
  error: z.string(),
  zip: z.base64().nullable(),
  h1: z.string(),
});
const receivedSchema = z.object({ error: z.string(), h1: z.string(), dirH1: z.string() });
const ranges = z.array(z.tuple([z.number(), z.number()]));
const foldsSchema = z.object({ letters: ranges, folds: ranges });

describe.skipIf(lacksOracles())("as golang.org/x/mod/zip does", { timeout: oracleTimeoutMs }, () => {
  test("every letter of Unicode folds with the same letters", () => {
    const { letters, folds } = foldsSchema.parse(askOracle("zip", [{ call: "folds" }])[0]);
    const smallest = new Map(folds);
    const ours = new Map<number, string>();
    const theirs = new Map<string, number>();
    const differing: string[] = [];
    for (const [first, last] of letters) {
      for (let code = first; code <= last; code++) {
        // Same classes, whatever stands for them: each of ours belongs to one of theirs and the other way round.
        const key = foldName(String.fromCodePoint(code));
        const min = smallest.get(code) ?? code;
        if ((ours.get(min) ?? key) !== key || (theirs.get(key) ?? min) !== min) differing.push(code.toString(16));
        ours.set(min, key);
        theirs.set(key, min);
      }
    }
    expect(differing).toEqual([]);
    expect(ours.size).toBeGreaterThan(100_000);
  });

  test("4000 source trees: the same files kept, left out and refused, for the same reasons, and the same h1", () => {
    const trees = fc.sample(sourceTree, { seed, numRuns: 4000 });
    const reasons = new Set<string>();
    const hashes: string[] = [];
    for (const [index, answer] of askCreate(trees).entries()) {
      const files = trees[index] ?? [];
      const tree = files.map((file) => ({ ...file, content: Buffer.from(file.content).toString() }));
      const { valid, omitted, invalid, sizeProblem = "" } = checkFiles(files);
      const made = unlessRefused(() => createHashedZip(files, sampleModule));
      const h1 = made === undefined ? "" : hashZip(strictAccess(made.zip), sampleModule);
      expect({ tree, h1: made?.h1 ?? "" }).toEqual({ tree, h1 });
      const { zip: _, error: __, ...expected } = answer;
      expect({ tree, valid: valid.map(({ path }) => path), omitted, invalid, sizeProblem, h1 }).toEqual({
        tree,
        ...expected,
      });
      hashes.push(h1);
      for (const { reason } of [...omitted, ...invalid]) reasons.add(reason.replaceAll(/ ?"[^"]*"|:.*/gs, ""));
    }
    // What the trees must have had for the comparison to mean something.
    expect(hashes.filter((h1) => h1 !== "").length).toBeGreaterThan(1000);
    expect(hashes.filter((h1) => h1 === "").length).toBeGreaterThan(1000);
    expect([...reasons].sort()).toEqual([
      "case-insensitive file name collision",
      "entry is both a file and a directory",
      "file is a symbolic link",
      "file is in another module",
      "file is in vendor directory",
      "file is inserted by 'hg archive' and is always omitted",
      "file path is not clean",
      "file path is not relative",
      "go.mod files must have lowercase names",
      "malformed file path",
      "multiple entries for file",
      "not a regular file",
    ]);
  });

  test("go reads the zips we make, and we read those it makes", () => {
    const trees = fc.sample(sourceTree, { seed: seed + 1, numRuns: 600 });
    const pairs = askCreate(trees)
      .map((theirs, index) => ({ theirs, files: trees[index] ?? [] }))
      .filter(({ theirs }) => theirs.error === "");
    const received = askRead(pairs.map(({ files }) => createZip(files, sampleModule)));
    for (const [index, { theirs }] of pairs.entries()) {
      expect(received[index]).toEqual({ error: "", h1: theirs.h1, dirH1: theirs.h1 });
      const zip = Buffer.from(theirs.zip ?? "", "base64");
      expect(hashZip(strictAccess(zip), sampleModule)).toBe(theirs.h1);
    }
    expect(pairs.length).toBeGreaterThan(200);
  });

  test("what we accept of 20000 damaged zips, go accepts with the same h1", () => {
    const accepted = fc
      .sample(damagedZip, { seed: seed + 2, numRuns: 20_000 })
      .map((zip) => ({ zip, h1: unlessRefused(() => hashZip(strictAccess(zip), sampleModule)) }))
      .filter(({ h1 }) => h1 !== undefined);
    const answers = askRead(accepted.map(({ zip }) => zip));
    for (const [index, { zip, h1 }] of accepted.entries()) {
      const hex = zip.toString("hex");
      expect({ hex, ...answers[index] }).toMatchObject({ hex, error: "", h1 });
    }
    expect(accepted.length).toBeGreaterThan(1000);
  });

  test("entries for folders count for the h1, though not for that of the unpacked module", () => {
    const zip = rawZip([{ name: root, method: 0 }, { name: `${root}sub/`, method: 0 }, other]);
    const h1 = hashZip(strictAccess(zip), sampleModule);
    const without = hashZip(strictAccess(rawZip([other])), sampleModule);
    expect(askRead([zip])).toEqual([{ error: "", h1, dirH1: without }]);
    expect(h1).not.toBe(without);
  });
});

function askCreate(trees: readonly (readonly SourceFile[])[]): z.infer<typeof createdSchema>[] {
  const requests = trees.map((files) => ({
    call: "create",
    ...sampleModule,
    files: files.map((file) => ({ ...file, content: Buffer.from(file.content).toString("base64") })),
  }));
  return askOracle("zip", requests).map((answer) => createdSchema.parse(answer));
}

function askRead(zips: readonly Uint8Array[]): z.infer<typeof receivedSchema>[] {
  const requests = zips.map((zip) => ({ call: "read", ...sampleModule, zip: Buffer.from(zip).toString("base64") }));
  return askOracle("zip", requests).map((answer) => receivedSchema.parse(answer));
}

function unlessRefused<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}
