import { isTable, type NamedDocument, type Table } from "./file.ts";
import { overrideSection, sections, type Section } from "./settings.ts";
import { nearest } from "./suggest.ts";

/** A sentence for every key of the file that is no setting. Never its value. */
export function unknownKeys(file: NamedDocument): string[] {
  return Object.entries(file.table).flatMap(([name, value]) => {
    const section = sections.find((candidate) => candidate.name === name);
    if (section !== undefined && isTable(value)) return unknownIn(section, value, { file, path: name });
    if (section !== undefined)
      return [`${place(file, name)}${name} is not a table; write [${name}] and its settings below it`];
    const known = sections.map((candidate) => candidate.name);
    const hint =
      otherSection(name) ?? didYouMean(nearest(name, known), "[") ?? `the tables are [${known.join("], [")}]`;
    return [`${place(file, name)}${isTable(value) ? `[${name}]` : name} is not known; ${hint}`];
  });
}

/** The same for the tables of `[[upstream.override]]`, which may stand in the environment too. */
export function unknownOverrideKeys(tables: unknown, file: NamedDocument | undefined): string[] {
  if (!Array.isArray(tables)) return [];
  return tables.flatMap((table: unknown, index) =>
    isTable(table) ? unknownIn(overrideSection, table, { file, path: `${overrideSection.name}.${index}` }) : [],
  );
}

function unknownIn(
  section: Section,
  table: Table,
  { file, path }: { readonly file: NamedDocument | undefined; readonly path: string },
): string[] {
  const keys = section.settings.map(({ key }) => key);
  const name = section === overrideSection ? `[[${section.name}]]` : `[${section.name}]`;
  return Object.keys(table)
    .filter((key) => !keys.includes(key))
    .map((key) => {
      const synonym = section.settings.find(({ synonyms }) => synonyms?.includes(key))?.key;
      const hint =
        didYouMean(synonym ?? nearest(key, keys), "") ?? otherSection(key) ?? `its settings are ${keys.join(", ")}`;
      return `${place(file, `${path}.${key}`)}${name} has no ${key}; ${hint}`;
    });
}

function place(file: NamedDocument | undefined, path: string): string {
  const line = file?.lineOf(path) ?? file?.lineOf(path.replace(/\.[^.]*$/, ""));
  return file === undefined ? "" : line === undefined ? `${file.name}: ` : `${file.name}:${line}: `;
}

function otherSection(key: string): string | undefined {
  const section = sections.find(({ settings }) => settings.some((setting) => setting.key === key));
  return section === undefined ? undefined : `it belongs below [${section.name}]`;
}

function didYouMean(found: string | undefined, open: "" | "["): string | undefined {
  return found === undefined ? undefined : `did you mean ${open}${found}${open === "" ? "" : "]"}?`;
}
