import { SluiceError } from "../../core/errors.ts";

/** What a long command has to say in the end. */
export interface Outcome {
  readonly text: string;
  /** For stderr: what was not done, which makes the exit code 2. */
  readonly problems: readonly string[];
}

/** As many as fit on a screen or two. */
const maxProblems = 100;

export function firstOf(problems: readonly string[]): string[] {
  const more = problems.length - maxProblems;
  return more > 0 ? [...problems.slice(0, maxProblems), `and ${more} more`] : [...problems];
}

/** `--jobs`. Fails with `config_invalid`. */
export function parseJobs(text: string): number {
  const jobs = Number(text);
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= 256) return jobs;
  throw new SluiceError("config_invalid", `--jobs ${JSON.stringify(text)} is no number from 1 to 256`);
}
