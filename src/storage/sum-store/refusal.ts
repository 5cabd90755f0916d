import { isSluiceError, SluiceError } from "../../core/errors.ts";

/**
 * What stands there cannot be trusted, or is gone. It is never made anew: a log that begins again is a fork, and every go
 * command that has seen the old one refuses it for ever.
 */
export function refusal(file: string, problem: string, cause?: unknown): SluiceError {
  return new SluiceError(
    "storage_failed",
    `the checksum store ${JSON.stringify(file)} ${problem}. Stop Sluice and put the newest copy of it back. ` +
      "Do not begin with a new one: go commands that have seen its log would report a fork.",
    { cause, details: { path: file, mayMove: false } },
  );
}

export function isRefusal(error: unknown): boolean {
  return isSluiceError(error, "storage_failed") && error.details["mayMove"] === false;
}
