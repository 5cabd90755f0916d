const durationUnits = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const sizeUnits = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;

/** `"250ms"`, `"10m"` or `"1m30s"` in milliseconds; undefined when the text is not a duration. */
export function tryParseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * factor(durationUnits, unit);
  }
  return Math.round(total);
}

/** `"256MiB"` in bytes; undefined when the text is not a size. */
export function tryParseSize(text: string): number | undefined {
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)$/.exec(text) ?? [];
  return amount === "" ? undefined : Math.round(Number(amount) * factor(sizeUnits, unit));
}

function factor(units: Readonly<Record<string, number>>, unit: string): number {
  return units[unit] ?? Number.NaN;
}
