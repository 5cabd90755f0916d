import type { Config } from "../../config/index.ts";
import { SluiceError } from "../../core/errors.ts";
import { ProtocolError } from "../../protocol/error.ts";
import {
  type GosumdbSetting,
  type NoteSigner,
  type NoteVerifier,
  parseGosumdb,
  parseVerifierKey,
} from "../../protocol/sumdb/index.ts";
import { localUrl } from "../local-url.ts";
import { readLogKeys } from "../../sumdb/log/keys.ts";

/** A checksum database, as this machine's configuration knows it or the command line says. */
export interface Database {
  readonly name: string;
  readonly verifiers: readonly NoteVerifier[];
  /** Where it is asked. */
  readonly url: URL;
}

/** What the configuration says of checksum databases. */
export interface Databases {
  /** The keys of our own log, in order; empty when there is none. */
  readonly ownKeys: readonly NoteSigner[];
  /** What public modules are compared with. */
  readonly main: PublicDatabase | undefined;
  /** Those that are relayed, `main` first. */
  readonly relayed: readonly PublicDatabase[];
}

export type PublicDatabase = Extract<GosumdbSetting, { readonly kind: "database" }>;

export async function databasesOf({ sumdb }: Config): Promise<Databases> {
  const warn = (message: string): void => void process.stderr.write(`sluice: ${message}\n`);
  const main = parseGosumdb(sumdb.database);
  const relayed = [main, ...sumdb.mirror.map(parseGosumdb)].filter((one) => one.kind === "database");
  return {
    ownKeys: await readLogKeys({ files: sumdb.keyFiles, text: sumdb.key, warn }),
    main: main.kind === "database" ? main : undefined,
    relayed,
  };
}

/** What must not be asked of a database of others, in the grammar of GONOSUMDB; empty when there is nothing. */
export function privatePatterns({ upstream, privateModules, sumdb }: Config): string {
  const patterns = [upstream.private, privateModules.patterns, sumdb.noVerify].flatMap((list) => list.split(","));
  return [...new Set(patterns)].filter((pattern) => pattern !== "" && pattern !== "none").join(",");
}

/**
 * Finds the database that a word on the command line means: the address of a log, a name of the configuration, or what GOSUMDB
 * may be. `key` replaces the keys that are known. Fails with `config_invalid` and says what to write.
 */
export async function findDatabase(word: string, config: Config, key: string | undefined): Promise<Database> {
  const found = /^[a-z][a-z0-9+.-]*:\/\//i.test(word)
    ? byAddress(word, await databasesOf(config))
    : await byName(word, config);
  if (key !== undefined) return { ...found, verifiers: [parseKey(key)] };
  if (found.verifiers.length > 0) return found;
  throw new SluiceError(
    "config_invalid",
    `no key of ${found.name} is known; give it with --key, as it stands in GOSUMDB: ${found.name}+<hash>+<key>`,
  );
}

function byAddress(word: string, databases: Databases): Database {
  const url = URL.parse(word);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SluiceError(
      "config_invalid",
      `${JSON.stringify(word)} is no address of a log; write http:// or https://`,
    );
  }
  const place = `${url.host}${url.pathname}`.replace(/\/+$/, "");
  const name = /\/sumdb\/(.+)$/.exec(place)?.[1] ?? place;
  return { name, verifiers: verifiersOf(name, databases), url };
}

async function byName(word: string, config: Config): Promise<Database> {
  const databases = await databasesOf(config);
  const own = databases.ownKeys.find(({ name }) => name === word);
  if (own !== undefined) {
    return { name: word, verifiers: verifiersOf(word, databases), url: new URL(`${localUrl(config)}/sumdb/${word}`) };
  }
  const database = databases.relayed.find(({ name }) => name === word) ?? parseDatabase(word);
  return {
    name: database.name,
    verifiers: [database.verifier],
    url: new URL(database.url ?? `https://${database.name}`),
  };
}

function verifiersOf(name: string, { ownKeys, relayed }: Databases): NoteVerifier[] {
  const own = ownKeys.filter((key) => key.name === name);
  if (own.length > 0) return own.map(({ verifierKey }) => parseVerifierKey(verifierKey));
  const known = relayed.find((database) => database.name === name) ?? tryParseDatabase(name);
  return known === undefined ? [] : [known.verifier];
}

function parseDatabase(word: string): PublicDatabase {
  try {
    const database = parseGosumdb(word);
    if (database.kind === "database") return database;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  throw new SluiceError(
    "config_invalid",
    `${JSON.stringify(word)} is no checksum database that the configuration or go knows; write the address of a log, such as https://sum.example.com, with --key, or what stands in GOSUMDB`,
  );
}

function tryParseDatabase(name: string): PublicDatabase | undefined {
  try {
    const database = parseGosumdb(name);
    return database.kind === "database" ? database : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function parseKey(key: string): NoteVerifier {
  try {
    return parseVerifierKey(key);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SluiceError(
      "config_invalid",
      `--key ${JSON.stringify(key)} is no key of a log (${error.message}); write it as it stands in GOSUMDB: <name>+<hash>+<key>`,
    );
  }
}
