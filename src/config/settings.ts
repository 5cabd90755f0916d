import type { z } from "zod";
import { credentialSchema, privateSchema } from "./private-schema.ts";
import { configSchema, gitOverrideSchema } from "./schema.ts";
import { sectionDocs, settingFacts, type SettingFacts } from "./setting-facts.ts";
import { groupSchema, routeSchema } from "./route-schema.ts";
import { overrideSchema } from "./upstream-schema.ts";

/** One setting, with every name it has. */
export interface Setting extends SettingFacts {
  /** As the person who writes a file sees it: `server`, `upstream.override` or `private.credential`. */
  readonly section: string;
  /** In the file, such as `shutdown_timeout`. */
  readonly key: string;
  /** In `Config`, such as `shutdownTimeoutMs`. */
  readonly field: string;
  /** Environment variables, the one to recommend first. None inside tables that are repeated. */
  readonly envNames: readonly string[];
  readonly schema: z.ZodType;
}

export interface Section {
  readonly name: string;
  readonly doc: string;
  readonly settings: readonly Setting[];
}

/** Variables of the go command that a setting falls back to when nothing else sets it. */
export const goFallbacks = {
  "upstream.chain": "GOPROXY",
  "upstream.private": "GOPRIVATE",
  "upstream.no_proxy": "GONOPROXY",
  "git.insecure": "GOINSECURE",
  "git.vcs": "GOVCS",
  "sumdb.database": "GOSUMDB",
  "sumdb.no_verify": "GONOSUMDB",
} as const;

/** Read before everything else, so it is no setting. */
export const configFileEnv = "SLUICE_CONFIG";

/** A key of our own log, which stands in no file of settings. */
export const sumdbKeyEnv = "SLUICE_SUMDB_KEY";

/** What operators show, which stands in no file of settings. */
export const adminTokenEnv = "SLUICE_ADMIN_TOKEN";

/** All of `[[private]]` as inline TOML. */
export const privateEnv = "SLUICE_PRIVATE";

export const sections: readonly Section[] = Object.entries(configSchema.shape).map(([name, schema]) =>
  section(name, schema),
);

export const overrideSection: Section = section("upstream.override", overrideSchema);
export const routeSection: Section = section("upstream.route", routeSchema);
export const groupSection: Section = section("upstream.group", groupSchema);
export const gitOverrideSection: Section = section("git.override", gitOverrideSchema);
export const privateSection: Section = section("private", privateSchema);
export const credentialSection: Section = section("private.credential", credentialSchema);

/** The tables that a setting of the kind `tables` is a list of: their name is the setting's path. */
export const listSections: readonly Section[] = [overrideSection, routeSection, groupSection, gitOverrideSection];

const repeated = [...listSections, privateSection, credentialSection];

/** The list of tables that a setting stands in, by its path in the file; undefined for one that stands in a plain table. */
export function listOf({ section }: Setting): string | undefined {
  if (listSections.some(({ name }) => name === section)) return section;
  return section === privateSection.name || section === credentialSection.name ? privateSection.name : undefined;
}

/** By `section.key`. */
export function findSetting(path: string): Setting {
  const found = [...sections, ...repeated].flatMap(({ settings }) => settings).find((one) => settingPath(one) === path);
  if (found === undefined) throw new TypeError(`there is no setting ${path}`);
  return found;
}

export function settingPath({ section, key }: Setting): string {
  return `${section}.${key}`;
}

function section(name: string, schema: z.ZodObject<Readonly<Record<string, z.ZodType>>>): Section {
  const settings = Object.entries(schema.shape).map(([field, fieldSchema]) => setting(name, field, fieldSchema));
  return { name, doc: sectionDocs.get(schema)?.doc ?? "", settings };
}

function setting(section: string, field: string, schema: z.ZodType): Setting {
  const facts = settingFacts.get(schema);
  if (facts === undefined) throw new TypeError(`the setting ${section}.${field} is not documented`);
  const key = facts.key ?? fileKey(field, facts.kind);
  const longEnv = `SLUICE_${section}_${key}`.toUpperCase();
  const envNames = section.includes(".") || section === "private" ? [] : [...new Set([facts.env ?? longEnv, longEnv])];
  return { ...facts, section, key, field, envNames, schema };
}

/** `shutdownTimeoutMs` is `shutdown_timeout` outside, where the value carries its unit. */
function fileKey(field: string, kind: SettingFacts["kind"]): string {
  const unit = kind === "duration" ? /Ms$/ : kind === "size" ? /Bytes$/ : /$/;
  return field.replace(unit, "").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
