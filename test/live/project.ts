import { cp, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { egressEnvironment } from "./machine.ts";

const projects = path.join(import.meta.dirname, "projects");

/** What `go mod download all` left of a project. */
export interface Downloaded {
  readonly goMod: string;
  readonly goSum: string;
  readonly seconds: number;
  /** 1, unless the chain failed in between. */
  readonly attempts: number;
}

/** A developer who has not downloaded anything yet. */
export function createDeveloper(goProxy: string): Promise<GoMachine> {
  return createGoMachine({ ...egressEnvironment(), GOPROXY: goProxy });
}

/**
 * Runs `go mod download all` in a fresh copy of the project.
 * Throws with go's own words when the last attempt fails too.
 */
export async function downloadProject(
  developer: GoMachine,
  name: string,
  { maxAttempts }: { maxAttempts: number },
): Promise<Downloaded> {
  await rm(path.join(developer.dir, "go.sum"), { force: true });
  await cp(path.join(projects, name), developer.dir, { recursive: true });
  const begin = performance.now();
  for (let attempts = 1; ; attempts += 1) {
    const { code, stderr } = await developer.go(["mod", "download", "all"]);
    if (code === 0) {
      const [goMod, goSum] = await Promise.all(
        ["go.mod", "go.sum"].map((file) => readFile(path.join(developer.dir, file), "utf8")),
      );
      const seconds = (performance.now() - begin) / 1000;
      return { goMod: goMod ?? "", goSum: goSum ?? "", seconds, attempts };
    }
    console.warn(`${name}: attempt ${attempts} of ${maxAttempts}:\n${stderr.trim()}`);
    if (attempts >= maxAttempts) throw new Error(`go mod download all of ${name} failed:\n${stderr.trim()}`);
  }
}

/** Modules a go.sum vouches for whole, not only by their go.mod. */
export function countModules(goSum: string): number {
  return goSum.split("\n").filter((line) => line.includes(" h1:") && !line.includes("/go.mod h1:")).length;
}
