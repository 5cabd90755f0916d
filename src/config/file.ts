import { parse, TomlError } from "smol-toml";

export type Table = Readonly<Record<string, unknown>>;

/** A TOML document and where its keys stand in it. */
export interface TomlDocument {
  readonly table: Table;
  /** Line, from 1, of a dotted path such as `server.listen` or `upstream.override.0.url`, where it could be told. */
  readonly lineOf: (path: string) => number | undefined;
}

export interface NamedDocument extends TomlDocument {
  /** The file as the operator wrote it. */
  readonly name: string;
}

/** A mistake in the syntax. Its message never quotes the file, which may hold what must not be printed. */
export class TomlSyntaxError extends Error {
  override readonly name = "TomlSyntaxError";
  readonly line: number;

  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

export function parseToml(text: string): TomlDocument {
  const content = text.replace(/^\uFEFF/, "");
  const lines = indexLines(content);
  try {
    return { table: parse(content, { unsafeKeyBehaviour: "throw" }), lineOf: (path) => lines.get(path) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [reason = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw new TomlSyntaxError(reason, error.line);
  }
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/**
 * The parser does not tell where a key stood, so this looks for keys line by line. It is only for messages: in a text it
 * misreads (a multi-line string that looks like a key) the line is wrong, never the value.
 */
function indexLines(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const tables = new Map<string, number>();
  let table = "";
  for (const [index, line] of text.split("\n").entries()) {
    const [, open = "", header] = /^\s*(\[\[?)\s*([\w."' -]+?)\s*\]/.exec(line) ?? [];
    const [, key] = /^\s*([\w."'-][\w."' -]*?)\s*=/.exec(line) ?? [];
    if (header !== undefined) {
      const name = header.replace(/["'\s]/g, "");
      const number = tables.get(name) ?? 0;
      if (open === "[[") tables.set(name, number + 1);
      table = open === "[[" ? `${name}.${number}` : name;
      lines.set(table, index + 1);
    } else if (key !== undefined) {
      const path = key.replace(/["'\s]/g, "");
      lines.set(table === "" ? path : `${table}.${path}`, index + 1);
    }
  }
  return lines;
}
