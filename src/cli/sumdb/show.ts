import { withLogReader } from "../../compose-tools.ts";
import type { Config } from "../../config/index.ts";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { checkModuleVersion, parseModulePath, parseVersion } from "../../protocol/module/index.ts";
import { createPrivateRules } from "../../sources/private.ts";
import { countOf } from "../../sumdb/audit/finding.ts";
import { lookUpProven } from "../../sumdb/audit/proven-record.ts";
import { signersOf } from "../../sumdb/audit/signed-tree.ts";
import { localUrl } from "../local-url.ts";
import { type Database, databasesOf, findDatabase, privatePatterns } from "./databases.ts";
import { addressOf } from "./address.ts";

export interface ShowOptions {
  /** Address or name of the log. Default: the one that go commands ask this Sluice for. */
  readonly url?: string | undefined;
  readonly key?: string | undefined;
}

/** The record of a module version, proven. Fails with `not_found` when the log has none, `integrity` when it cannot be proven. */
export async function showSum(query: string, config: Config, { url, key }: ShowOptions): Promise<string> {
  const { modulePath, version } = parseQuery(query);
  const database = await findDatabase(url ?? (await ownDatabase(modulePath, config)), config, key);
  await refuseToTell(modulePath, database, config);
  const { verifiers } = database;
  const record = await withLogReader(database.url, async (log) => {
    try {
      return await lookUpProven({ log, verifiers }, modulePath, version);
    } catch (error) {
      throw isSluiceError(error, "not_found") ? noRecord(query, database, error) : error;
    }
  });
  return `${record.text}
  database  ${database.name}, at ${addressOf(database.url)}
  record    ${record.id} of ${record.tree.size}, counted from 0
  proven    by the log's tiles, under a tree of ${countOf(record.tree.size, "record")} ${signersOf(record.tree)}
`;
}

/** As Sluice itself would not. */
async function refuseToTell(modulePath: ModulePath, { name }: Database, config: Config): Promise<void> {
  const { relayed } = await databasesOf(config);
  if (!isPrivate(modulePath, config) || !relayed.some((other) => other.name === name)) return;
  throw new SluiceError(
    "config_invalid",
    `${modulePath} is private, and ${name} is a database of others, which would learn its name`,
  );
}

function isPrivate(modulePath: ModulePath, config: Config): boolean {
  return createPrivateRules(privatePatterns(config)).matches(modulePath);
}

interface ModuleVersion {
  readonly modulePath: ModulePath;
  readonly version: Version;
}

function parseQuery(query: string): ModuleVersion {
  const cut = query.lastIndexOf("@");
  const [path, wanted] = cut < 0 ? [query, ""] : [query.slice(0, cut), query.slice(cut + 1)];
  try {
    const modulePath = parseModulePath(path);
    const version = parseVersion(wanted);
    checkModuleVersion(modulePath, version);
    return { modulePath, version };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw error.code === "malformed_path" ? unusable(query, error) : noVersion(query, path, error);
  }
}

function unusable(query: string, error: ProtocolError): SluiceError {
  return new SluiceError("config_invalid", `${JSON.stringify(query)}: ${error.message}; write <module>@<version>`, {
    cause: error,
  });
}

/** `latest`, a branch or `v1` may be another version tomorrow, so no log has a record of it. */
function noVersion(query: string, path: string, error: ProtocolError): SluiceError {
  const wanted = query.slice(path.length + 1) || "latest";
  return new SluiceError(
    "config_invalid",
    `${JSON.stringify(query)} is no single version, and checksum databases have records of single versions, such as v1.2.3; ask go which one it is: go list -m ${path}@${wanted}`,
    { cause: error },
  );
}

/** The address of the log that this Sluice's clients ask for a module. */
async function ownDatabase(modulePath: ModulePath, config: Config): Promise<string> {
  const { ownKeys, main } = await databasesOf(config);
  const isOurs = isPrivate(modulePath, config);
  const [own] = ownKeys;
  const name = isOurs || config.sumdb.vouchPublic ? own?.name : main?.name;
  if (name !== undefined) return `${localUrl(config)}/sumdb/${name}`;
  throw new SluiceError(
    "config_invalid",
    isOurs
      ? `${modulePath} is private, and there is no log of our own that could have it; make its key with \`sluice sumdb init\``
      : `no checksum database is in force (sumdb.database is off); name one with --url`,
  );
}

function noRecord(query: string, { name, url }: Database, cause: SluiceError): SluiceError {
  return new SluiceError(
    "not_found",
    `${name} at ${addressOf(url)} has no record of ${query}; check module and version with go list -m ${query}`,
    { cause },
  );
}
