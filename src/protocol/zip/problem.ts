import { ProtocolError } from "../error.ts";
import { goQuote } from "../quote.ts";

const shownNameLength = 200;

/** Names in messages are quoted, so that the message stays on one line, and cut, because a zip can have names of 64 KiB. */
export function shownName(name: string): string {
  if (name.length <= shownNameLength) return goQuote(name);
  return `${goQuote(name.slice(0, shownNameLength).toWellFormed())}…`;
}

export function malformedZip(problem: string): ProtocolError {
  return new ProtocolError("malformed_zip", `not a valid module zip: ${problem}`);
}

export function malformedEntry(name: string, problem: string, cause?: unknown): ProtocolError {
  return new ProtocolError("malformed_zip", `not a valid module zip: entry ${shownName(name)}: ${problem}`, { cause });
}

export function zipTooLarge(problem: string): ProtocolError {
  return new ProtocolError("zip_too_large", problem);
}

export function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}
