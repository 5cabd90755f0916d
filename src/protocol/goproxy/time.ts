const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;

/**
 * Reads a time as Go's `time.Time` does from JSON and writes it as go does: UTC with `Z`, a fraction of up to nine digits only
 * when there is one (SPEC §1.2). Undefined when Go would refuse it.
 */
export function tryNormalizeTime(text: string): string | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.map(Number);
  const [zoneHour, zoneMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return undefined;
  // Go lets offsets of 24 hours and of 60 minutes pass.
  if (zoneHour > 24 || zoneMinute > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCDate() !== day) return undefined;
  const sign = match[8] === "-" ? -1 : 1;
  date.setUTCHours(hour - sign * zoneHour, minute - sign * zoneMinute, second);
  if (date.getUTCFullYear() < 0 || date.getUTCFullYear() > 9999) return undefined;
  const fraction = (match[7] ?? "").slice(0, 9).replace(/0+$/, "");
  return `${date.toISOString().slice(0, 19)}${fraction === "" ? "" : `.${fraction}`}Z`;
}

/** Orders two times made by `tryNormalizeTime`: negative, zero or positive. */
export function compareTimes(a: string, b: string): number {
  // Without the Z a longer fraction of the same second sorts behind.
  const [left, right] = [a.slice(0, -1), b.slice(0, -1)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
