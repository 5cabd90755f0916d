import { isTable, type NamedDocument, type Table } from "./file.ts";
import { credentialSection, listSections, privateSection, sections, type Section } from "./settings.ts";
import { nearest } from "./suggest.ts";

/** A sentence for every key of the file that is no setting. Never its value. */
export function unknownKeys(file: NamedDocument): string[] {
  return Object.entries(file.table).flatMap(([name, value]) => {
    if (name === privateSection.name) return [];
    const section = sections.find((candidate) => candidate.name === name);
    if (section !== undefined && isTable(value)) return unknownIn(section, value, { file, path: name });
    if (section !== undefined)
      return [`${place(file, name)}${name} is not a table; write [${name}] and its settings below it`];
    const known = [...sections.map((candidate) => candidate.name), privateSection.name];
    const shown = known.map((one) => (one === privateSection.name ? `[[${one}]]` : `[${one}]`));
    const hint =
      otherSection(name) ??
      didYouMean(shown[known.indexOf(nearest(name, known) ?? "")]) ??
      `the tables are ${shown.join(", ")}`;
    return [`${place(file, name)}${isTable(value) ? `[${name}]` : name} is not known; ${hint}`];
  });
}

/** The same for the tables of one of `listSections`, which may stand in the environment too. */
export function unknownOverrideKeys(list: Section, tables: unknown, file: NamedDocument | undefined): string[] {
  if (!Array.isArray(tables)) return [];
  return tables.flatMap((table: unknown, index) =>
    isTable(table) ? unknownIn(list, table, { file, path: `${list.name}.${index}` }) : [],
  );
}

/** The same for those of `[[private]]`. */
export function unknownPrivateKeys(tables: unknown, file: NamedDocument | undefined): string[] {
  if (!Array.isArray(tables)) return [];
  return tables.filter(isTable).flatMap((table, index) => {
    const path = `${privateSection.name}.${index}`;
    const credential = table["credential"];
    return [
      ...unknownIn(privateSection, table, { file, path }),
      ...(isTable(credential) ? unknownIn(credentialSection, credential, { file, path: `${path}.credential` }) : []),
    ];
  });
}

function unknownIn(
  section: Section,
  table: Table,
  { file, path }: { readonly file: NamedDocument | undefined; readonly path: string },
): string[] {
  const keys = section.settings.map(({ key }) => key);
  const name = nameOf(section);
  return Object.keys(table)
    .filter((key) => !keys.includes(key))
    .map((key) => {
      const synonym = section.settings.find(({ synonyms }) => synonyms?.includes(key))?.key;
      const hint =
        didYouMean(synonym ?? nearest(key, keys)) ?? otherSection(key) ?? `its settings are ${keys.join(", ")}`;
      return `${place(file, `${path}.${key}`)}${name} has no ${key}; ${hint}`;
    });
}

function nameOf(section: Section): string {
  if (section === credentialSection) return "credential of [[private]]";
  return listSections.includes(section) || section === privateSection ? `[[${section.name}]]` : `[${section.name}]`;
}

function place(file: NamedDocument | undefined, path: string): string {
  const line = file?.lineOf(path) ?? file?.lineOf(path.replace(/\.[^.]*$/, ""));
  return file === undefined ? "" : line === undefined ? `${file.name}: ` : `${file.name}:${line}: `;
}

function otherSection(key: string): string | undefined {
  const section = sections.find(({ settings }) => settings.some((setting) => setting.key === key));
  return section === undefined ? undefined : `it belongs below [${section.name}]`;
}

function didYouMean(found: string | undefined): string | undefined {
  return found === undefined ? undefined : `did you mean ${found}?`;
}
