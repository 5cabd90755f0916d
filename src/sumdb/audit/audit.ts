import { isSluiceError } from "../../core/errors.ts";
import type { SignedTree } from "../../core/ports.ts";
import { ProtocolError } from "../../protocol/error.ts";
import {
  hashBytes,
  type NoteVerifier,
  parseDataTile,
  type Tile,
  tileHeight,
  tileOfTree,
  tilePath,
} from "../../protocol/sumdb/index.ts";
import { base64, countOf, type Finding, Findings } from "./finding.ts";
import { inOrder } from "./in-order.ts";
import type { LogReader } from "./log-reader.ts";
import { LookupCheck } from "./lookup-check.ts";
import { type OpenedTree, openTree } from "./signed-tree.ts";
import { TreeCheck } from "./tree-check.ts";

export interface AuditOptions {
  readonly log: LogReader;
  /** The keys of the log. */
  readonly verifiers: readonly NoteVerifier[];
  /** The tree of the last audit, which the log must still have as its beginning. */
  readonly previous?: SignedTree | undefined;
  /** How many records are looked up as well, drawn at random. */
  readonly lookups: number;
  /** Steps of two tiles, or lookups, at the same time. Default 8. */
  readonly concurrency?: number | undefined;
  readonly onProgress?: ((progress: AuditProgress) => void) | undefined;
  /** At least 0 and below 1. */
  readonly random?: (() => number) | undefined;
}

export interface AuditProgress {
  readonly records: number;
  /** Of all records. */
  readonly size: number;
}

export interface AuditReport {
  /** The signed tree that was audited. */
  readonly tree: OpenedTree;
  readonly tiles: number;
  /** How many records were looked up. */
  readonly lookups: number;
  /** None: the log is what it says. At most the first 20. */
  readonly findings: readonly Finding[];
  readonly findingCount: number;
}

const fullWidth = 2 ** tileHeight;

/**
 * Reads a whole log as anybody can, and computes it again: every record, every hash above it, up to the signed tree, which must
 * continue the tree of the last audit. Takes no more memory for a large log than for a small one.
 *
 * Fails with `integrity` when the log shows no tree that one of its keys has signed, and with an `upstream_*` code when it
 * cannot be read. Whatever else is wrong is among the findings.
 */
export async function auditLog(options: AuditOptions): Promise<AuditReport> {
  const { log, verifiers, previous, concurrency = 8 } = options;
  const tree = openTree(await log.latest(), verifiers, `${log.name}/latest`);
  const findings = new Findings();
  const check = new TreeCheck(findings);
  const lookupCheck = new LookupCheck({ log, verifiers, tree, findings });
  const isDrawn = draw(options.lookups, tree.size, options.random ?? Math.random);
  let tiles = 0;
  let lookups = 0;

  for await (const step of inOrder(stepsOf(tree.size), concurrency, (one) => readStep(log, one, findings))) {
    const first = step.data.index * fullWidth;
    const records = readRecords(step, findings);
    if (records !== undefined) check.expectRecords(records);
    for (const { tile, bytes } of step.hashes) {
      check.addTile(tile, bytes);
      if (tile.level === 0) comparePrevious(check, tile, { previous, findings });
      if (tile.width === fullWidth) check.closeRow(tile.level);
    }
    tiles += 1 + step.hashes.length;
    const drawn = (records ?? []).map((text, position) => ({ id: first + position, text }));
    lookups += await lookUpAll(
      drawn.filter(({ id }) => isDrawn(id)),
      concurrency,
      lookupCheck,
    );
    options.onProgress?.({ records: first + step.data.width, size: tree.size });
  }

  compareRoot(check.hash(), tree, findings);
  if (previous !== undefined) compareSizes(previous, tree, findings);
  return { tree, tiles, lookups, findings: findings.first, findingCount: findings.count };
}

/** A data tile, and the tiles of hashes that the log has completed with it, or that end there. */
interface Step {
  readonly data: Tile;
  readonly hashes: readonly Tile[];
}

interface ReadStep {
  readonly data: Tile;
  readonly dataBytes: Uint8Array | undefined;
  readonly hashes: readonly { readonly tile: Tile; readonly bytes: Uint8Array | undefined }[];
}

function* stepsOf(size: number): Generator<Step> {
  const count = Math.ceil(size / fullWidth);
  for (let index = 0; index < count; index++) {
    const data = tileOfTree(size, -1, index);
    const hashes: Tile[] = [];
    for (let level = 0, perTile = 1; perTile <= size; level++, perTile *= fullWidth) {
      const tile = tileOfTree(size, level, Math.floor(index / perTile));
      const isComplete = (index + 1) % perTile === 0;
      if (tile !== undefined && (isComplete || index === count - 1)) hashes.push(tile);
    }
    if (data !== undefined) yield { data, hashes };
  }
}

async function readStep(log: LogReader, { data, hashes }: Step, findings: Findings): Promise<ReadStep> {
  const [dataBytes, ...bytes] = await Promise.all([data, ...hashes].map((tile) => readTile(log, tile, findings)));
  return { data, dataBytes, hashes: hashes.map((tile, position) => ({ tile, bytes: bytes[position] })) };
}

async function readTile(log: LogReader, tile: Tile, findings: Findings): Promise<Uint8Array | undefined> {
  try {
    const bytes = await log.tile(tile);
    if (tile.level === -1 || bytes.length === tile.width * hashBytes) return bytes;
    findings.add(tilePath(tile), ["must have", `${tile.width * hashBytes} bytes`], ["has", `${bytes.length}`]);
  } catch (error) {
    if (!isSluiceError(error, "not_found")) throw error;
    findings.add(
      tilePath(tile),
      ["must have", tile.width === 1 ? "1 entry" : `${tile.width} entries`],
      ["cannot be had", error.message],
    );
  }
  return undefined;
}

function readRecords({ data, dataBytes }: ReadStep, findings: Findings): string[] | undefined {
  if (dataBytes === undefined) return undefined;
  try {
    const texts = parseDataTile(dataBytes);
    if (texts.length === data.width) return texts;
    findings.add(tilePath(data), ["must have", countOf(data.width, "record")], ["has", `${texts.length}`]);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    findings.add(tilePath(data), ["must have", countOf(data.width, "record")], ["cannot be read", error.message]);
  }
  return undefined;
}

/** Answers how many. */
async function lookUpAll(
  records: readonly { readonly id: number; readonly text: string }[],
  concurrency: number,
  check: LookupCheck,
): Promise<number> {
  const checks = inOrder(records, concurrency, ({ id, text }) => check.check(id, text));
  while ((await checks.next()).done !== true);
  return records.length;
}

interface Past {
  readonly previous: SignedTree | undefined;
  readonly findings: Findings;
}

/** With the tile of level 0 in which the tree of the last audit ended. */
function comparePrevious(check: TreeCheck, tile: Tile, { previous, findings }: Past): void {
  const width = (previous?.size ?? 0) - tile.index * fullWidth;
  if (previous === undefined || width <= 0 || width > tile.width) return;
  const hash = check.hash(width);
  if (Buffer.compare(hash, previous.hash) === 0) return;
  findings.add(
    `two histories: the log has changed what it had at the last audit, its first ${countOf(previous.size, "record")}`,
    ["their hash at the last audit", base64(previous.hash)],
    ["their hash now", base64(hash)],
  );
}

function compareSizes(previous: SignedTree, tree: SignedTree, findings: Findings): void {
  if (previous.size <= tree.size) return;
  findings.add(
    "the log has fewer records than at the last audit",
    ["at the last audit", countOf(previous.size, "record")],
    ["now", countOf(tree.size, "record")],
  );
}

function compareRoot(hash: Uint8Array, tree: SignedTree, findings: Findings): void {
  if (Buffer.compare(hash, tree.hash) === 0) return;
  findings.add(
    `the tree of ${countOf(tree.size, "record")}`,
    ["the signed tree has", base64(tree.hash)],
    ["its tiles make", base64(hash)],
  );
}

/** Chooses `count` of `size` record numbers. */
function draw(count: number, size: number, random: () => number): (id: number) => boolean {
  if (count >= size) return () => true;
  const drawn = new Set<number>();
  while (drawn.size < count) drawn.add(Math.floor(random() * size));
  return (id) => drawn.has(id);
}
