import { z } from "zod";

/** What the file, the environment, the flags and the documentation call a setting, and what it means. */
export interface SettingFacts {
  readonly kind:
    | "table"
    | "text"
    | "choice"
    | "boolean"
    | "integer"
    | "duration"
    | "size"
    | "path"
    | "list"
    | "paths"
    | "tables";
  /** As it would stand in the file. Without one the setting is optional, or its default is made by the loader. */
  readonly default?: string | number | boolean | readonly string[] | undefined;
  /** What the documentation says where `default` does not tell. */
  readonly defaultDoc?: string;
  /** In the file, where it is not the field's name in snake case without its unit. */
  readonly key?: string;
  /** A shorter variable than `SLUICE_<SECTION>_<KEY>`, which is understood too. */
  readonly env?: string;
  /** A command line option, without dashes. */
  readonly flag?: string;
  /** What stands for the value in the help, where the kind does not say enough. */
  readonly placeholder?: string;
  /** Other words people try for the key, in snake case; they get this setting as a suggestion. */
  readonly synonyms?: readonly string[];
  /** A Sluice that runs keeps the value it was started with. */
  readonly restart?: boolean;
  /** The value may hold what must not be printed. */
  readonly hidden?: boolean;
  readonly doc: string;
}

export const settingFacts = z.registry<SettingFacts>();

/** A table of the file. */
export const sectionDocs = z.registry<{ readonly doc: string }>();

export function setting<Schema extends z.ZodType>(schema: Schema, facts: SettingFacts): Schema {
  settingFacts.add(schema, facts);
  return schema;
}

export function section<Shape extends z.core.$ZodLooseShape>(doc: string, shape: Shape) {
  return z.object(shape, { error: "is not a table" }).register(sectionDocs, { doc });
}
