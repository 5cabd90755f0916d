import { Secret } from "../core/secret.ts";
import { ProtocolError } from "../protocol/error.ts";
import { type GosumdbSetting, parseGosumdb, parseSignerKey } from "../protocol/sumdb/index.ts";
import { checkPatterns, type Report } from "./checks.ts";
import { goDefaultSumdb } from "./defaults.ts";
import { readVariable } from "./environment.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import type { Config, Settings } from "./schema.ts";
import { sumdbKeyEnv } from "./settings.ts";

type SumdbSettings = Settings["sumdb"];

interface SumdbSurroundings extends Surroundings {
  /** Takes a whole sentence, about what is no setting. */
  readonly complain: (sentence: string) => void;
}

/** Checks what the schema cannot tell of `[sumdb]`, and looks whether the keys are there. Messages never quote a key. */
export function readSumdb(sumdb: SumdbSettings, around: SumdbSurroundings, report: Report): Config["sumdb"] {
  checkPatterns("sumdb.no_verify", sumdb.noVerify, report);
  const database = checkDatabase("sumdb.database", sumdb.database, report);
  const names = new Set(database === undefined || database.kind === "off" ? [] : [database.name]);
  for (const text of sumdb.mirror) checkMirror(text, names, report);
  if (sumdb.verify === "required" && database?.kind === "off") {
    report("sumdb.verify", "is required, but database is off; name a database, or write when-reachable", {
      value: sumdb.verify,
    });
  }
  const key = readVariable(around.env, sumdbKeyEnv);
  const ownNames = readKeys(sumdb.keyFiles, around, report);
  if (key !== undefined) ownNames.push(...namesOf(key, (problem) => around.complain(`${sumdbKeyEnv} ${problem}`)));
  if (database?.kind === "database" && ownNames.includes(database.name)) {
    // Such as in the shell where GOSUMDB is this Sluice's log already.
    report(
      "sumdb.database",
      `is our own log, by its key; name what public modules are compared with, such as SLUICE_SUMDB_DATABASE=${goDefaultSumdb}`,
      { value: sumdb.database },
    );
    names.delete(database.name);
  }
  checkOwnNames(ownNames, names, report);
  const hasKey = key !== undefined || sumdb.keyFiles.length > 0;
  if (sumdb.vouchPublic) checkVouching(database, hasKey, report);
  return { ...sumdb, key: key === undefined ? undefined : new Secret(key) };
}

function checkDatabase(path: string, text: string, report: Report): GosumdbSetting | undefined {
  try {
    const database = parseGosumdb(text);
    if (database.kind === "database" && /^https?:\/\/[^/]*@/.test(database.url ?? "")) {
      report(path, "has a user name or password in its URL, which no database needs; take it out");
    }
    return database;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    report(
      path,
      `cannot be read: ${error.message}; write a known name such as sum.golang.org, or name+hash+key, maybe with a URL behind a blank`,
      { value: text },
    );
    return undefined;
  }
}

function checkMirror(text: string, names: Set<string>, report: Report): void {
  const database = checkDatabase("sumdb.mirror", text, report);
  if (database === undefined) return;
  if (database.kind === "off") report("sumdb.mirror", "is no database; take it out of the list", { value: text });
  else if (names.has(database.name))
    report("sumdb.mirror", "is relayed already; take it out of the list", { value: text });
  else names.add(database.name);
}

/** The names of the logs that the keys are for. */
function readKeys(files: readonly string[], around: Surroundings, report: Report): string[] {
  return files.flatMap((file) => {
    const say = (problem: string): void => report("sumdb.key_files", problem, { value: file });
    const text = readNamedFile(file, around, say);
    return text === undefined ? [] : namesOf(text, say);
  });
}

/** Of a text with one key on each line. */
function namesOf(text: string, fail: (problem: string) => void): string[] {
  const lines = text.split("\n").map((line) => line.trim());
  const keys = lines.filter((line) => line !== "");
  if (keys.length === 0) fail("holds no key of a log: it is empty; make one with `sluice sumdb init`");
  return keys.flatMap((key) => {
    try {
      const { name, verifierKey } = parseSignerKey(key);
      // A name that clients could not write into GOSUMDB is no use.
      parseGosumdb(verifierKey);
      return [name];
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      fail(`holds no key of a log: ${error.message}; make one with \`sluice sumdb init\``);
      return [];
    }
  });
}

function checkOwnNames(found: readonly string[], others: ReadonlySet<string>, report: Report): void {
  const [first, second] = new Set(found);
  if (first === undefined) return;
  if (second !== undefined) {
    report("sumdb.key_files", `have keys of two logs, ${first} and ${second}; the keys of one log have one name`);
  } else if (others.has(first)) {
    report(
      "sumdb.key_files",
      `have a key named ${first}, which is a database of others here; make a key with another name, or name another one in database`,
    );
  }
}

function checkVouching(database: GosumdbSetting | undefined, hasKey: boolean, report: Report): void {
  if (!hasKey) {
    report(
      "sumdb.vouch_public",
      "is true, but our own log has no key; make one with `sluice sumdb init`, and name it in key_files",
    );
  } else if (database?.kind === "off") {
    report("sumdb.vouch_public", "is true, but database is off, so there is nothing to vouch with; name a database");
  }
}
