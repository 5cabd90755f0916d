import { goDefaultProxy, goDefaultSumdb } from "./defaults.ts";
import { readVariable, type Environment } from "./environment.ts";
import { isTable, parseToml, type NamedDocument } from "./file.ts";
import type { Origin } from "./origin.ts";
import { goFallbacks, privateEnv, privateSection, sections, settingPath, type Setting } from "./settings.ts";

/** What was written, before it is checked. */
export interface Given {
  readonly value: unknown;
  readonly origin: Origin;
}

export interface Sources {
  readonly file: NamedDocument | undefined;
  readonly environment: Environment;
  readonly flags: Readonly<Record<string, string>>;
}

/** The value of every setting, by `section.key`, from the strongest source that has it: flags, environment, file, default. */
export function gather(sources: Sources, problems: string[]): Map<string, Given> {
  const given = new Map<string, Given>();
  for (const setting of sections.flatMap(({ settings }) => settings)) {
    const found =
      fromFlags(setting, sources) ?? fromEnvironment(setting, sources, problems) ?? fromFile(setting, sources);
    given.set(settingPath(setting), found ?? fallback(setting, sources.environment, given));
  }
  const rules = privateRules(sources);
  if (rules !== undefined) given.set(privateSection.name, rules);
  return given;
}

/** `[[private]]`, which is a list and no table of settings. */
function privateRules({ environment, file }: Sources): Given | undefined {
  const text = readVariable(environment, privateEnv);
  if (text !== undefined) return { value: decodeToml(text), origin: { kind: "env", name: privateEnv } };
  const value = file?.table[privateSection.name];
  if (file === undefined || value === undefined) return undefined;
  const line = file.lineOf(`${privateSection.name}.0`) ?? file.lineOf(privateSection.name);
  return { value, origin: { kind: "file", file: file.name, line } };
}

function fromFlags({ flag, kind }: Setting, { flags }: Sources): Given | undefined {
  const text = flag === undefined ? undefined : flags[flag];
  return flag === undefined || text === undefined
    ? undefined
    : { value: decode(text, kind), origin: { kind: "flag", name: flag } };
}

function fromEnvironment({ envNames, kind }: Setting, { environment }: Sources, problems: string[]): Given | undefined {
  const [name, second] = envNames.filter((candidate) => readVariable(environment, candidate) !== undefined);
  if (name === undefined) return undefined;
  if (second !== undefined && environment[name] !== environment[second]) {
    problems.push(`${name} and ${second} are the same setting with two values; unset ${second}`);
  }
  return { value: decode(environment[name] ?? "", kind), origin: { kind: "env", name } };
}

function fromFile(setting: Setting, { file }: Sources): Given | undefined {
  const table = file?.table[setting.section];
  const value = isTable(table) && Object.hasOwn(table, setting.key) ? table[setting.key] : undefined;
  if (file === undefined || value === undefined) return undefined;
  const line =
    file.lineOf(settingPath(setting)) ?? file.lineOf(`${settingPath(setting)}.0`) ?? file.lineOf(setting.section);
  return { value, origin: { kind: "file", file: file.name, line } };
}

function fallback(setting: Setting, environment: Environment, given: ReadonlyMap<string, Given>): Given {
  const path = settingPath(setting);
  const goName = isGoFallback(path) ? goFallbacks[path] : undefined;
  const goValue = goName === undefined ? undefined : readVariable(environment, goName);
  if (goName !== undefined && goValue !== undefined) return { value: goValue, origin: { kind: "env", name: goName } };
  if (path === "upstream.chain") return { value: goDefaultProxy, origin: { kind: "default" } };
  if (path === "sumdb.database") return { value: goDefaultSumdb, origin: { kind: "default" } };
  if (path === "upstream.no_proxy" || path === "sumdb.no_verify")
    return given.get("upstream.private") ?? { value: "", origin: { kind: "default" } };
  const none = setting.schema.safeParse(undefined).success ? undefined : "";
  return { value: setting.default ?? none, origin: { kind: "default" } };
}

function isGoFallback(path: string): path is keyof typeof goFallbacks {
  return Object.hasOwn(goFallbacks, path);
}

/** Flags and variables are text; what cannot be decoded stays text, and the schema refuses it in words. */
function decode(text: string, kind: Setting["kind"]): unknown {
  if (kind === "integer") return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
  if (kind === "boolean") return text === "true" ? true : text === "false" ? false : text;
  if (kind === "tables") return decodeToml(text);
  if (kind !== "list" && kind !== "paths") return text;
  const items = text.split(",").map((item) => item.trim());
  return items.filter((item) => item !== "");
}

function decodeToml(text: string): unknown {
  try {
    return parseToml(`value = ${text}`).table["value"];
  } catch {
    return text;
  }
}
