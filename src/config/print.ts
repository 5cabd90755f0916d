import type { Given } from "./gather.ts";
import type { LoadedConfig } from "./load.ts";
import { formatOrigin } from "./origin.ts";
import { printableDatabaseUrl } from "./database.ts";
import { printableChain } from "./checks.ts";
import {
  credentialSection,
  listSections,
  privateSection,
  sections,
  settingPath,
  type Section,
  type Setting,
} from "./settings.ts";
import { isTable, type Table } from "./file.ts";

/** The settings in force as a TOML file, with the origin of each as a comment. Nothing secret is in it. */
export function printConfig({ given }: LoadedConfig): string {
  const blocks = sections.flatMap((section) => printSection(section, given) ?? []);
  const lists = listSections.flatMap((list) => printOverrides(list, given.get(list.name)));
  return `${[...blocks, ...lists, ...printPrivate(given.get("private"))].join("\n\n")}\n`;
}

function printSection({ name, settings }: Section, given: ReadonlyMap<string, Given>): string | undefined {
  const lines = settings
    .filter(({ kind }) => kind !== "tables")
    .flatMap((setting) => {
      const found = given.get(settingPath(setting));
      return found?.value === undefined ? [] : [{ ...found, setting: printSetting(setting, found.value) }];
    });
  if (lines.length === 0) return undefined;
  const width = Math.max(...lines.map(({ setting }) => setting.length));
  return [
    `[${name}]`,
    ...lines.map(({ setting, origin }) => `${setting.padEnd(width)}  # ${formatOrigin(origin)}`),
  ].join("\n");
}

function printOverrides(list: Section, given: Given | undefined): string[] {
  if (!Array.isArray(given?.value)) return [];
  const { origin, value: tables } = given;
  return tables.filter(isTable).map((table) => {
    const lines = list.settings
      .filter(({ key }) => table[key] !== undefined)
      .map((setting) => printSetting(setting, table[setting.key]));
    return [`[[${list.name}]]  # ${formatOrigin(origin)}`, ...lines].join("\n");
  });
}

function printPrivate(given: Given | undefined): string[] {
  if (!Array.isArray(given?.value)) return [];
  const { origin, value: tables } = given;
  return tables.filter(isTable).map((table) => {
    const lines = privateSection.settings
      .filter(({ key, kind }) => table[key] !== undefined && kind !== "table")
      .map(({ key }) => `${key} = ${JSON.stringify(table[key])}`);
    const credential = isTable(table["credential"]) ? [`credential = ${printCredential(table["credential"])}`] : [];
    return [`[[${privateSection.name}]]  # ${formatOrigin(origin)}`, ...lines, ...credential].join("\n");
  });
}

/** Where the secret is, not what it is. The arguments of a command may be secrets, too. */
function printCredential(credential: Table): string {
  const fields = credentialSection.settings.flatMap(({ key }) => {
    const value = credential[key];
    if (value === undefined) return [];
    const shown =
      key === "command" && Array.isArray(value) ? [value[0], ...value.slice(1).map(() => "[hidden]")] : value;
    return [`${key} = ${JSON.stringify(shown)}`];
  });
  return `{ ${fields.join(", ")} }`;
}

function printSetting(setting: Setting, value: unknown): string {
  // JSON's texts, numbers, booleans and lists are TOML's too.
  return `${setting.key} = ${JSON.stringify(printable(settingPath(setting), value))}`;
}

function printable(path: string, value: unknown): unknown {
  const chains = ["upstream.chain", "upstream.route.chain", "upstream.override.url"];
  if (chains.includes(path)) return printableChain(String(value));
  return path === "database.url" ? printableDatabaseUrl(String(value)) : value;
}
