import { ProtocolError } from "../error.ts";

/** `20060102150405`. */
export const TIMESTAMP_LENGTH = 14;

/** The commit time of a pseudo-version, UTC: `YYYYMMDDHHMMSS`. Throws `malformed_version` outside the years 0 to 9999. */
export function formatTimestamp(time: Date): string {
  const year = time.getUTCFullYear();
  // Not `year < 0 || year > 9999`: an invalid date has a year of NaN.
  if (!(year >= 0 && year <= 9999)) {
    throw new ProtocolError("malformed_version", "the time of a pseudo-version must lie in the years 0 to 9999");
  }
  return time.toISOString().slice(0, "2006-01-02T15:04:05".length).replaceAll(/[-T:]/g, "");
}

/** Reads 14 digits as Go's `time.Parse` does; undefined when they are no real date and time of day. */
export function parseTimestamp(digits: string): Date | undefined {
  const month = Number(digits.slice(4, 6));
  const day = Number(digits.slice(6, 8));
  const hour = Number(digits.slice(8, 10));
  const minute = Number(digits.slice(10, 12));
  const second = Number(digits.slice(12, 14));
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const time = new Date(0);
  // `Date.UTC` would take the years 0 to 99 for 1900 to 1999.
  time.setUTCFullYear(Number(digits.slice(0, 4)), month - 1, day);
  if (time.getUTCMonth() !== month - 1 || time.getUTCDate() !== day) return undefined;
  time.setUTCHours(hour, minute, second);
  return time;
}
