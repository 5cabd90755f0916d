import path from "node:path";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import { isMarked } from "./log-mark.ts";

/**
 * What stands there cannot be trusted, or is gone. It is never made anew: a log that begins again is a fork, and every go
 * command that has seen the old one refuses it for ever. Where there was none, that is an operator's decision, too: how far the
 * logs of others were followed is what a fork of theirs is found by.
 */
export function refusal(file: string, problem: string, cause?: unknown): SluiceError {
  const advice = isMarked(file) ? putBack : moveAway(path.basename(file));
  return new SluiceError("storage_failed", `the checksum store ${JSON.stringify(file)} ${problem}. ${advice}`, {
    cause,
    details: { path: file, mayMove: false },
  });
}

export function isRefusal(error: unknown): boolean {
  return isSluiceError(error, "storage_failed") && error.details["mayMove"] === false;
}

const putBack =
  "Stop Sluice and put the newest copy of it back. " +
  "Do not begin with a new one: go commands that have seen its log would report a fork.";

function moveAway(name: string): string {
  return (
    "It has no log of ours, only how far databases of others were followed: stop Sluice and put a copy of it back, or " +
    `move it away with ${name}-wal and ${name}-shm, and they are followed anew.`
  );
}
