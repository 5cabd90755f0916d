import { existsSync, writeFileSync } from "node:fs";

const markText = `The database beside this file has a checksum log that go commands rely on. Back it up; never begin with a new one.
Only if no go command has ever seen that log may this file be deleted with it.
`;

/** Remembers beside the database that it has a log of ours, so that its loss is noticed at the next start, too. */
export function markLog(file: string): void {
  if (file !== ":memory:" && !isMarked(file)) writeFileSync(markOf(file), markText);
}

/** Whether the database has, or had, a log of ours. */
export function isMarked(file: string): boolean {
  return existsSync(markOf(file));
}

export function markOf(file: string): string {
  return `${file}.keep`;
}
