import { dirname, resolve } from "node:path";
import { readAdminToken } from "./admin.ts";
import { readDatabase } from "./database.ts";
import { SluiceError } from "../core/errors.ts";
import { readBucket } from "./bucket.ts";
import { checkSettings } from "./checks.ts";
import { readVariable, unknownVariables, type Environment } from "./environment.ts";
import { explain, explainIssue, type Context } from "./explain.ts";
import { checkGitOverrides } from "./git-overrides.ts";
import { readPrivateRules } from "./private.ts";
import { isTable, parseToml, TomlSyntaxError, type NamedDocument } from "./file.ts";
import { gather, type Given } from "./gather.ts";
import { fileProblem, readOverrides, type ReadFile } from "./overrides.ts";
import { configSchema, type Config } from "./schema.ts";
import { readRedis } from "./redis.ts";
import { readSumdb } from "./sumdb.ts";
import { configFileEnv, findSetting, listSections, privateSection, sections, settingPath } from "./settings.ts";
import { unknownKeys, unknownOverrideKeys, unknownPrivateKeys } from "./unknown-keys.ts";

export interface LoadOptions {
  /** The file named on the command line, before `SLUICE_CONFIG`. */
  readonly configFile?: string | undefined;
  /** What the command line sets, by the name of the flag without dashes. */
  readonly flags?: Readonly<Record<string, string>> | undefined;
  readonly env: Environment;
  readonly cwd: string;
  /** The text of a file by its absolute path. Throws the file system's own error. */
  readonly readFile: ReadFile;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The configuration file as it was named. */
  readonly file: string | undefined;
  /** Every setting as it was written, and where, by `section.key`. May hold secrets: print it with `printConfig`. */
  readonly given: ReadonlyMap<string, Given>;
}

/**
 * Puts defaults, file, environment and flags together, the later ones before the earlier ones. Fails with `config_invalid`;
 * its message has one line for every mistake, and none of them a secret.
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const file = readConfigFile(options);
  const problems = unknownVariables(options.env, sections);
  if (file !== undefined) problems.push(...unknownKeys(file));
  const given = gather({ file, environment: options.env, flags: options.flags ?? {} }, problems);
  makeAbsolute(given, options.cwd, file);
  for (const list of listSections) problems.push(...unknownOverrideKeys(list, given.get(list.name)?.value, file));
  const rules = given.get(privateSection.name);
  problems.push(...unknownPrivateKeys(rules?.value, file));

  const context: Context = { given, file };
  const parsed = configSchema.safeParse(toFields(given));
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => explainIssue(issue, context)));
    throw invalid(problems);
  }
  const settings = parsed.data;
  const report = (
    path: string,
    message: string,
    at: { readonly value?: unknown; readonly index?: number } = {},
  ): void => {
    problems.push(explain(findSetting(path), message, { ...context, ...at }));
  };
  checkSettings(settings, report);
  checkGitOverrides(settings.git.overrides, report);
  const folder = folderOf(given.get("upstream.override"), options.cwd, file);
  const overrides = readOverrides(settings.upstream.overrides, { ...options, folder }, report);
  const privateModules = readPrivateRules(
    rules?.value,
    { ...options, folder: folderOf(rules, options.cwd, file), noProxy: settings.upstream.noProxy },
    report,
  );
  const sumdb = readSumdb(
    settings.sumdb,
    { ...options, folder: options.cwd, complain: (sentence) => problems.push(sentence) },
    report,
  );
  const { admin, database, ...others } = settings;
  const redis = readRedis(settings.redis, { ...options, folder: options.cwd }, report);
  const sharedDatabase = readDatabase(database, { ...options, folder: options.cwd }, report);
  const adminToken = readAdminToken(
    admin,
    { ...options, folder: options.cwd, complain: (sentence) => problems.push(sentence) },
    report,
  );
  const sharedBucket = readBucket(settings.bucket, { ...options, folder: options.cwd }, report);
  if (problems.length > 0) throw invalid(problems);
  return {
    config: {
      ...others,
      adminToken,
      redis,
      sharedBucket,
      sharedDatabase,
      privateModules,
      sumdb,
      upstream: { ...settings.upstream, overrides },
    },
    file: file?.name,
    given,
  };
}

function invalid(problems: readonly string[]): SluiceError {
  return new SluiceError("config_invalid", [...new Set(problems)].join("\n"));
}

function readConfigFile({ configFile, env, cwd, readFile }: LoadOptions): NamedDocument | undefined {
  const variable = readVariable(env, configFileEnv);
  const name = configFile ?? variable;
  if (name === undefined) return undefined;
  const origin = configFile === undefined ? configFileEnv : "--config";
  try {
    return { name, ...parseToml(readFile(resolve(cwd, name))) };
  } catch (error) {
    if (error instanceof TomlSyntaxError) throw invalid([`${name}:${error.line}: this is not TOML: ${error.message}`]);
    throw invalid([`the configuration file ${JSON.stringify(name)} (${origin}) ${fileProblem(error)}`]);
  }
}

/** A relative path counts from the file it stands in, else from the working directory. */
function folderOf(given: Given | undefined, cwd: string, file: NamedDocument | undefined): string {
  return given?.origin.kind === "file" && file !== undefined ? dirname(resolve(cwd, file.name)) : cwd;
}

function makeAbsolute(given: Map<string, Given>, cwd: string, file: NamedDocument | undefined): void {
  for (const setting of sections.flatMap(({ settings }) => settings)) {
    const found = given.get(settingPath(setting));
    if (found === undefined) continue;
    const absolute = (path: unknown): unknown =>
      typeof path === "string" && !/^(~|$)/.test(path) ? resolve(folderOf(found, cwd, file), path) : path;
    if (setting.kind === "path") given.set(settingPath(setting), { ...found, value: absolute(found.value) });
    else if (setting.kind === "paths" && Array.isArray(found.value)) {
      given.set(settingPath(setting), { ...found, value: found.value.map(absolute) });
    }
  }
}

/** From the names of the file to those of the schema. */
function toFields(given: ReadonlyMap<string, Given>): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    sections.map(({ name, settings }) => [
      name,
      Object.fromEntries(
        settings.map((setting) => {
          const value = given.get(settingPath(setting))?.value;
          return [setting.field, setting.kind === "tables" ? tablesToFields(settingPath(setting), value) : value];
        }),
      ),
    ]),
  );
}

function tablesToFields(list: string, tables: unknown): unknown {
  if (!Array.isArray(tables)) return tables;
  const settings = listSections.find(({ name }) => name === list)?.settings ?? [];
  return tables.map((table: unknown) =>
    isTable(table) ? Object.fromEntries(settings.map(({ key, field }) => [field, table[key]])) : table,
  );
}
