import path from "node:path";
import { buildRepo } from "../support/git-repos.ts";

/** Where the private modules are: their `[[private]]` rule, and what nobody but the git server may be asked. */
export const privatePattern = "github.com/corp";
const repositories = 3;
const versions = 10;

export interface PrivateModules {
  /** Root of the repositories, for a git server. */
  readonly root: string;
  /** `path@version`. */
  readonly known: readonly string[];
  readonly cold: readonly string[];
}

/** Bare repositories below the folder, each with one tag after the other. */
export async function buildPrivateModules(folder: string): Promise<PrivateModules> {
  const root = path.join(folder, "repositories");
  const names = Array.from({ length: repositories }, (_, index) => `lib${index}`);
  for (const name of names) {
    await buildRepo(path.join(root, `corp/${name}.git`), {
      commits: Array.from({ length: versions }, (_, minor) => ({
        files: {
          "go.mod": `module ${privatePattern}/${name}\n\ngo 1.21\n`,
          "lib.go": `package ${name}\n\n// Version is the minor one.\nconst Version = ${minor}\n`,
        },
        tags: [`v1.${minor}.0`],
      })),
    });
  }
  const all = names.flatMap((name) =>
    Array.from({ length: versions }, (_, minor) => `${privatePattern}/${name}@v1.${minor}.0`),
  );
  return {
    root,
    known: all.filter((module) => module.endsWith("@v1.0.0")),
    cold: all.filter((module) => !module.endsWith("@v1.0.0")),
  };
}

/** Whether a path, as somebody was asked for it, tells the name of a private module. */
export function tellsPrivateName(asked: string): boolean {
  return /corp|lib\d/i.test(asked);
}
