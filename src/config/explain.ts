import type { z } from "zod";
import type { NamedDocument } from "./file.ts";
import type { Given } from "./gather.ts";
import { formatOrigin, type Origin } from "./origin.ts";
import { credentialSection, listOf, listSections, sections, settingPath, type Setting } from "./settings.ts";

/** What a sentence about a wrong value needs to know. */
export interface Context {
  readonly given: ReadonlyMap<string, Given>;
  readonly file: NamedDocument | undefined;
}

/** The sentence for one thing a schema refused: where it stands, what stands there, and what to write. */
export function explainIssue({ path, message }: z.core.$ZodIssue, context: Context): string {
  const [sectionName, field, index, overrideField, ...rest] = path;
  const setting = sections.find(({ name }) => name === sectionName)?.settings.find((found) => found.field === field);
  if (setting === undefined) return `${path.join(".")} ${message}`;
  const value = context.given.get(settingPath(setting))?.value;
  if (setting.kind !== "tables" || typeof index !== "number") {
    return explain(setting, message, { ...context, value: index === undefined ? value : dig(value, [index]) });
  }
  const list = listSections.find(({ name }) => name === settingPath(setting));
  const overrideSetting = list?.settings.find((found) => found.field === overrideField);
  if (overrideSetting === undefined) return explain(setting, message, { ...context, index });
  return explain(overrideSetting, message, {
    ...context,
    index,
    value: dig(value, [index, overrideSetting.key, ...rest]),
  });
}

/**
 * The same for a check behind the schema: `[server] listen = "x" …`, `SLUICE_LISTEN="x" …` or `--listen "x" …`, then `message`.
 * `value` is left out where it may hold a secret.
 */
export function explain(
  setting: Setting,
  message: string,
  { value, index, ...context }: Context & { readonly value?: unknown; readonly index?: number },
): string {
  const shown = setting.hidden === true || setting.kind === "tables" ? undefined : value;
  const origin = originOf(setting, context, index);
  const list = listOf(setting);
  const key = setting.section === credentialSection.name ? `credential.${setting.key}` : setting.key;
  const name = list === undefined ? `[${setting.section}] ${key}` : `[[${list}]] ${key}`;
  if (origin.kind === "env" && list === undefined)
    return `${origin.name}${shown === undefined ? "" : `=${quote(shown)}`} ${message}`;
  if (origin.kind === "flag") return `--${origin.name}${shown === undefined ? "" : ` ${quote(shown)}`} ${message}`;
  return `${prefix(origin)}${name}${shown === undefined ? "" : ` = ${quote(shown)}`} ${message}`;
}

function originOf(setting: Setting, { given, file }: Context, index: number | undefined): Origin {
  const list = listOf(setting) ?? settingPath(setting);
  const origin = given.get(settingPath(setting))?.origin ?? given.get(list)?.origin ?? { kind: "default" };
  if (origin.kind !== "file" || index === undefined) return origin;
  const table = `${list}.${index}`;
  const places = [`${table}.${setting.key}`, table];
  if (setting.section === credentialSection.name) {
    places.unshift(`${table}.credential.${setting.key}`, `${table}.credential`);
  }
  return {
    ...origin,
    line: places.map((place) => file?.lineOf(place)).find((line) => line !== undefined) ?? origin.line,
  };
}

function prefix(origin: Origin): string {
  return origin.kind === "default" ? "" : `${formatOrigin(origin)}: `;
}

function quote(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function dig(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}
