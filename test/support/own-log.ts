import { hash } from "node:crypto";
import type { H1, ModulePath, Version } from "../../src/protocol/brand.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import {
  generateKey,
  type NoteSigner,
  openNote,
  parseLookup,
  parseSignerKey,
  parseTree,
  parseVerifierKey,
  recordHash,
  storedHashCount,
  storedHashesFor,
  storedHashIndexesFor,
  type Tree,
  treeHashIndexes,
  treeHashOf,
} from "../../src/protocol/sumdb/index.ts";
import { parseH1 } from "../../src/protocol/zip/index.ts";
import type { Answer } from "../../src/core/answer.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { FetchContext, SumStore } from "../../src/core/ports.ts";
import { openSqliteSumStore } from "../../src/storage/sum-store/sqlite.ts";
import { createOwnLog, type OwnLog, type OwnLogOptions } from "../../src/sumdb/log/own-log.ts";
import { recordEvents, type RecordedEvents } from "./recorded-events.ts";

/** The name of the log that tests have. */
export const ownLogName = "corp.example";

export const context: FetchContext = { signal: new AbortController().signal, client: "test" };

export interface OwnLogUnderTest {
  readonly log: OwnLog;
  readonly store: SumStore;
  readonly events: RecordedEvents;
  /** Versions whose files were read, in order. */
  readonly read: readonly string[];
}

/** A log of everything below `corp.example`, whose files have the hashes of `hashesOf`. In memory, unless it gets a store. */
export async function openTestLog(options: Partial<OwnLogOptions> = {}): Promise<OwnLogUnderTest> {
  const store = options.store ?? (await openMemorySumStore());
  const events = recordEvents();
  const read: string[] = [];
  const { readFiles = async (modulePath: ModulePath, version: Version) => hashesOf(modulePath, version) } = options;
  const log = createOwnLog({
    name: ownLogName,
    signers: [defaultSigner],
    isPrivate: (modulePath) => modulePath.startsWith("corp.example/"),
    ...options,
    store,
    events,
    readFiles: (modulePath, version, flight) => {
      read.push(`${modulePath}@${version}`);
      return readFiles(modulePath, version, flight);
    },
  });
  return { log, store, events, read };
}

export function openMemorySumStore(): Promise<SumStore> {
  return openSqliteSumStore({ file: ":memory:", clock: systemClock });
}

/** The key of the log that tests have, the same in every run. `turn` tells several of one name apart. */
export function ownLogSigner(turn = 0, name = ownLogName): NoteSigner {
  return parseSignerKey(ownLogKey(turn, name));
}

const defaultSigner = ownLogSigner();

export function ownLogKey(turn = 0, name = ownLogName): string {
  return generateKey(name, hash("sha256", `${name} ${turn}`, "buffer")).signerKey;
}

/** The n-th private module of tests, some with several versions. */
export function moduleOf(n: number): { readonly modulePath: ModulePath; readonly version: Version } {
  return { modulePath: parseModulePath(`corp.example/m${n % 10}`), version: parseVersion(`v1.${n}.0`) };
}

/** What the files of a version hash to. Another `content` is a tag that was moved. */
export function hashesOf(
  modulePath: ModulePath,
  version: Version,
  content = "",
): { readonly mod: H1; readonly zip: H1 } {
  const h1 = (what: string) => parseH1(`h1:${hash("sha256", `${what} ${modulePath} ${version} ${content}`, "base64")}`);
  return { mod: h1("mod"), zip: h1("zip") };
}

/** Of notes whose signature was checked. Thousands of lookups are answered with the same one. */
const openedNotes = new Map<string, Tree>();

/** The tree of a note, which has the signature of `signer`. */
export function treeOfNote(note: Uint8Array, signer: NoteSigner = defaultSigner): Tree {
  const key = `${signer.verifierKey} ${Buffer.from(note).toString("latin1")}`;
  const tree = openedNotes.get(key) ?? parseTree(openNote(note, [parseVerifierKey(signer.verifierKey)]).text);
  openedNotes.set(key, tree);
  return tree;
}

/** An answer to a lookup, with its signature checked. */
export function lookupOf(answer: Answer, signer?: NoteSigner): { id: number; text: string; tree: Tree } {
  const { id, text, note } = parseLookup(answer.bytes ?? new Uint8Array());
  return { id, text, tree: treeOfNote(note, signer) };
}

export interface AuditedLog {
  readonly texts: readonly string[];
  /** By stored hash index. */
  readonly hashes: readonly Uint8Array[];
  readonly tree: Tree;
}

/** Reads a whole log and makes every hash of it anew, of the records alone. Throws where it is not the one that is stored. */
export async function auditLog(store: SumStore, log = ownLogName): Promise<AuditedLog> {
  const tree = await store.logTree(log);
  const texts = await store.records(log, 0, tree.size);
  const hashes = hashesOfRecords(texts);
  const stored = await store.treeHashes(
    log,
    hashes.map((_, index) => index),
  );
  for (const [index, expected] of hashes.entries()) {
    if (!isSame(stored[index], expected)) throw new Error(`the stored hash ${index} is not that of the records`);
  }
  if (!isSame(treeHashOfSize(hashes, tree.size), tree.hash)) throw new Error("the tree is not that of the records");
  if (new Set(texts.map((text) => text.split(" h1:", 1)[0])).size < texts.length)
    throw new Error("a version is there twice");
  return { texts, hashes, tree };
}

/** The hash that the log had when it had so many records. */
export function treeHashOfSize(hashes: readonly Uint8Array[], size: number): Uint8Array {
  return treeHashOf(
    size,
    treeHashIndexes(size).map((index) => hashes[index] ?? new Uint8Array()),
  );
}

function hashesOfRecords(texts: readonly string[]): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (const [n, text] of texts.entries()) {
    if (hashes.length !== storedHashCount(n)) throw new Error("stored hashes are not dense");
    const below = storedHashIndexesFor(n).map((index) => hashes[index] ?? new Uint8Array());
    hashes.push(...storedHashesFor(n, recordHash(text), below));
  }
  return hashes;
}

function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}
