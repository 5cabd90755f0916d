import { fields } from "../../../protocol/go-text.ts";
import { MarkupError, readTags, type Tag } from "./markup.ts";

/** What `<meta name="go-import" content="prefix vcs repository [subdirectory]">` says. */
export interface GoImport {
  /** Import path of the repository's root. */
  readonly prefix: string;
  /** `git`, `mod`, or whatever stands there. */
  readonly vcs: string;
  readonly url: string;
  /** The folder of the repository that `prefix` is, or empty. */
  readonly subdir: string;
}

export interface MetaTags {
  /** `mod` entries first. */
  readonly imports: readonly GoImport[];
  /** Why the page could not be read any further, if there was nothing of use before. */
  readonly problem: string | undefined;
}

/**
 * The go-import tags of a page up to the end of its head or the begin of its body (SPEC §4.3). Markup that breaks behind the first of
 * them does not matter. An entry of the kind `mod` takes the place of all others with its prefix.
 */
export function parseMetaTags(page: Uint8Array): MetaTags {
  const imports: GoImport[] = [];
  try {
    for (const tag of readTags(page)) {
      const name = tag.name.toLowerCase();
      if (name === (tag.kind === "open" ? "body" : "head")) break;
      const found = tag.kind === "open" && name === "meta" ? goImport(tag) : undefined;
      if (found !== undefined) imports.push(found);
    }
  } catch (error) {
    if (!(error instanceof MarkupError)) throw error;
    if (imports.length === 0) return { imports, problem: error.message };
  }
  const modules = imports.filter(({ vcs }) => vcs === "mod");
  const replaced = new Set(modules.map(({ prefix }) => prefix));
  const others = imports.filter(({ vcs, prefix }) => vcs !== "mod" && !replaced.has(prefix));
  return { imports: [...modules, ...others], problem: undefined };
}

function goImport(tag: Tag): GoImport | undefined {
  if (attribute(tag, "name") !== "go-import") return undefined;
  const [prefix, vcs, url, subdir = "", more] = fields(attribute(tag, "content"));
  if (prefix === undefined || vcs === undefined || url === undefined || more !== undefined) return undefined;
  return { prefix, vcs, url, subdir };
}

function attribute({ attributes }: Tag, wanted: string): string {
  return attributes.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? "";
}
