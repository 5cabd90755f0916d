import { hash } from "node:crypto";
import type { H1, ModulePath, Version } from "../../src/protocol/brand.ts";
import { ProtocolError } from "../../src/protocol/error.ts";
import { parseModulePath, parseVersion, escapePath, escapeVersion } from "../../src/protocol/module/index.ts";
import {
  formatDataTile,
  formatLookup,
  formatRecord,
  formatTree,
  generateKey,
  type LogRequest,
  type NoteSigner,
  parseLogRequest,
  parseSignerKey,
  recordHash,
  signNote,
  storedHashesFor,
  storedHashIndexesFor,
  type Tile,
  tileHashIndexes,
  tileOfTree,
  type Tree,
  treeHashIndexes,
  treeHashOf,
} from "../../src/protocol/sumdb/index.ts";
import { hashGoMod, hashZip, parseH1, randomAccess } from "../../src/protocol/zip/index.ts";
import type { FixtureFiles } from "./fixture-modules.ts";
import { type FixtureUpstream, startFixtureUpstream } from "./fixture-upstream.ts";

export interface SumLogOptions {
  /** Default `sum.example.com`. */
  readonly name?: string;
  /** Default: one made of the name, the same in every run. */
  readonly signerKey?: string;
  /** Made-up records to begin with, such as `fillerRecord(0)`. Default 0. */
  readonly size?: number;
  /** Versions that it makes records of when it is first asked for them: those whose `.mod` and `.zip` are here. */
  readonly vouchFor?: FixtureFiles;
  /** A fixed port, for a log that comes back. Default: a free one. */
  readonly port?: number;
}

/**
 * A checksum database on loopback that records what it is asked and misbehaves as told. It answers below its own address and,
 * as a proxy would, below `/sumdb/<name>/`, `supported` included.
 *
 * `requests`, `requestsFor`, `arrived`, `setFault` (404, 500, slow, hang, cut …) and `clearFaults` are those of a fixture
 * upstream: paths are such as `latest`, `tile/8/0/000.p/5`, `sumdb/sum.example.com/lookup/example.com/leaf@v1.0.0`.
 */
export interface SumLog extends FixtureUpstream {
  readonly name: string;
  readonly verifierKey: string;
  /** What goes into GOSUMDB to ask it past all proxies: key and address. */
  readonly gosumdb: string;
  /** Texts, by number. To change one in the open, use `fork`; in secret, `tamperRecord`. */
  readonly records: readonly string[];
  /** All records in one tree, whatever `showTree` says. */
  tree(size?: number): Tree;
  /** The signed tree that it shows now. */
  latest(): Uint8Array;
  /** The right bytes of a tile of all records. */
  tileBytes(tile: Tile): Uint8Array;
  /** Appends a record, or answers the number of the one that it has for this version. */
  add(modulePath: string, version: string, hashes?: { readonly zip: string; readonly mod: string }): number;
  /** Appends made-up records until there are so many. */
  growTo(size: number): void;
  /** Good answers of requests whose path matches go through `change` from now on. `stopChanging` ends all of it. */
  change(path: RegExp, change: (bytes: Uint8Array) => Uint8Array): void;
  stopChanging(): void;
  /** Lookups and data tiles say `text` for this record, while the tree stays as it was. */
  tamperRecord(id: number, text: string): void;
  /** Another history: all records from `size` on are replaced by others, and the tree with them. Signed as ever. */
  fork(size: number): void;
  /** Shows the tree of so many records instead of the newest; undefined: the newest again. Lookups answer with it as well. */
  showTree(size: number | undefined): void;
  /** Signs with these keys from now on: others' ones, or several of one name while keys are rotated. */
  signWith(...signerKeys: readonly string[]): void;
}

/**
 * Starts a log.
 *
 * @example
 * const log = await startSumLog({ size: 1000, vouchFor: fixtureFiles() });
 * log.change(/tile\/8\/0\//, flipBit);
 * log.setFault(/lookup/, { kind: "status", status: 500, times: 1 });
 * const machine = await createGoMachine({ GOPROXY: upstream.url, GOSUMDB: log.gosumdb });
 */
export async function startSumLog(options: SumLogOptions = {}): Promise<SumLog> {
  const name = options.name ?? "sum.example.com";
  const signerKey = options.signerKey ?? sumLogSigner(name);
  const log = new Log(signerKey, options.vouchFor);
  log.growTo(options.size ?? 0);
  const files = new LogFiles(name, log);
  const server = await startFixtureUpstream({
    modules: files,
    ...(options.port === undefined ? {} : { port: options.port }),
  });
  const { verifierKey } = parseSignerKey(signerKey);
  return {
    ...server,
    name,
    verifierKey,
    gosumdb: `${verifierKey} ${server.url}`,
    records: log.records,
    tree: (size) => log.tree(size),
    latest: () => log.latest(),
    tileBytes: (tile) => log.tileBytes(tile),
    add: (modulePath, version, hashes) => log.add(parseModulePath(modulePath), parseVersion(version), hashes),
    growTo: (size) => log.growTo(size),
    change: (path, change) => void files.changes.push({ path, change }),
    stopChanging() {
      files.changes.length = 0;
    },
    tamperRecord: (id, text) => log.tampered.set(id, text),
    fork: (size) => log.fork(size),
    showTree(size) {
      log.shownSize = size;
    },
    signWith(...signerKeys) {
      log.signers = signerKeys.map(parseSignerKey);
    },
  };
}

/** The signer key of a name, the same in every run. `turn` tells several keys of one name apart. */
export function sumLogSigner(name: string, turn = 0): string {
  return generateKey(name, hash("sha256", `${name} ${turn}`, "buffer")).signerKey;
}

/** Text of the made-up record number `n`: of `example.com/filler/m<n>` v1.0.0. */
export function fillerRecord(n: number): string {
  return madeUpRecord(parseModulePath(`example.com/filler/m${n}`), parseVersion("v1.0.0"), "");
}

/** For `change`: the same bytes but for one bit, in the middle. */
export function flipBit(bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const middle = Math.floor(changed.length / 2);
  changed[middle] = (changed[middle] ?? 0) ^ 1;
  return changed;
}

class Log {
  readonly records: string[] = [];
  readonly tampered = new Map<number, string>();
  shownSize: number | undefined;
  signers: readonly NoteSigner[];
  readonly #ids = new Map<string, number>();
  readonly #hashes: Uint8Array[] = [];
  readonly #vouchFor: FixtureFiles | undefined;

  constructor(signerKey: string, vouchFor: FixtureFiles | undefined) {
    this.signers = [parseSignerKey(signerKey)];
    this.#vouchFor = vouchFor;
  }

  add(modulePath: ModulePath, version: Version, hashes?: { readonly zip: string; readonly mod: string }): number {
    const key = `${modulePath}@${version}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const text =
      hashes === undefined
        ? madeUpRecord(modulePath, version, "")
        : formatRecord(modulePath, version, { zip: parseH1(hashes.zip), mod: parseH1(hashes.mod) });
    this.#ids.set(key, this.records.length);
    this.#append(text);
    return this.records.length - 1;
  }

  growTo(size: number): void {
    while (this.records.length < size) {
      this.add(parseModulePath(`example.com/filler/m${this.records.length}`), parseVersion("v1.0.0"));
    }
  }

  fork(size: number): void {
    const others = this.records.splice(size).map((text, position) => {
      const [modulePath = "", version = ""] = text.split(" ");
      return madeUpRecord(parseModulePath(modulePath), parseVersion(version), `fork ${size + position}`);
    });
    const kept = this.records.splice(0);
    this.#hashes.length = 0;
    for (const text of [...kept, ...others]) this.#append(text);
  }

  tree(size = this.records.length): Tree {
    return { size, hash: treeHashOf(size, this.#read(treeHashIndexes(size))) };
  }

  latest(): Uint8Array {
    return signNote(formatTree(this.tree(this.shownSize)), this.signers);
  }

  tileBytes(tile: Tile): Uint8Array {
    if (tile.level >= 0) return Buffer.concat(this.#read(tileHashIndexes(tile)));
    const first = tile.index * 2 ** tile.height;
    return formatDataTile(Array.from({ length: tile.width }, (_, entry) => this.#shown(first + entry)));
  }

  answer(request: LogRequest): Uint8Array | undefined {
    if (request.kind === "supported") return new Uint8Array();
    if (request.kind === "latest") return this.latest();
    if (request.kind === "tile") {
      const { height, level, index, width } = request.tile;
      const inTree = tileOfTree(this.records.length, level, index, height);
      return inTree === undefined || inTree.width < width ? undefined : this.tileBytes(request.tile);
    }
    const id = this.#find(request.modulePath, request.version);
    return id === undefined ? undefined : formatLookup(id, this.#shown(id), this.latest());
  }

  #find(modulePath: ModulePath, version: Version): number | undefined {
    const known = this.#ids.get(`${modulePath}@${version}`);
    if (known !== undefined) return known;
    const file = `${escapePath(modulePath)}/@v/${escapeVersion(version)}`;
    const mod = this.#vouchFor?.get(`${file}.mod`);
    const zip = this.#vouchFor?.get(`${file}.zip`);
    if (mod === undefined || zip === undefined) return undefined;
    const zipHash = hashZip(randomAccess(zip), { modulePath, version });
    return this.add(modulePath, version, { zip: zipHash, mod: hashGoMod(mod) });
  }

  #append(text: string): void {
    const id = this.records.push(text) - 1;
    this.#hashes.push(...storedHashesFor(id, recordHash(text), this.#read(storedHashIndexesFor(id))));
  }

  #read(indexes: readonly number[]): Uint8Array[] {
    return indexes.map((index) => {
      const found = this.#hashes[index];
      if (found === undefined) throw new Error(`the log has no hash ${index}`);
      return found;
    });
  }

  #shown(id: number): string {
    const text = this.tampered.get(id) ?? this.records[id];
    if (text === undefined) throw new Error(`the log has no record ${id}`);
    return text;
  }
}

/** The answers of a log, as the files of a fixture upstream. */
class LogFiles extends Map<string, Uint8Array> {
  readonly changes: { readonly path: RegExp; readonly change: (bytes: Uint8Array) => Uint8Array }[] = [];
  readonly #name: string;
  readonly #log: Log;

  constructor(name: string, log: Log) {
    super();
    this.#name = name;
    this.#log = log;
  }

  override get(path: string): Uint8Array | undefined {
    const asProxy = `sumdb/${this.#name}/`;
    const isProxied = path.startsWith(asProxy);
    const request = tryParseLogRequest(isProxied ? path.slice(asProxy.length) : path);
    if (request === undefined || (request.kind === "supported" && !isProxied)) return undefined;
    let bytes = this.#log.answer(request);
    for (const { path: matcher, change } of this.changes) {
      if (bytes !== undefined && matcher.test(path)) bytes = change(bytes);
    }
    return bytes;
  }
}

function tryParseLogRequest(path: string): LogRequest | undefined {
  try {
    return parseLogRequest(path);
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/** Hashes of nothing that exists. */
function madeUpRecord(modulePath: ModulePath, version: Version, salt: string): string {
  const h1 = (kind: string): H1 =>
    parseH1(`h1:${hash("sha256", `${modulePath} ${version} ${kind} ${salt}`, "base64")}`);
  return formatRecord(modulePath, version, { zip: h1("zip"), mod: h1("mod") });
}
