import { copyFileSync } from "node:fs";
import path from "node:path";

/** A real project, whose whole module graph is downloaded. */
export const projectFile = path.join(import.meta.dirname, "../test/live/projects/kubernetes/go.mod");

/** Puts it into an empty folder, without a go.sum. */
export function copyProject(folder: string): void {
  copyFileSync(projectFile, path.join(folder, "go.mod"));
}
