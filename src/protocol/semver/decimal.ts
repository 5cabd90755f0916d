/** The decimal plus one. Digits stay text: a version's integers have any length, and neither `Number` nor `BigInt` has. */
export function increment(decimal: string): string {
  let end = decimal.length;
  while (end > 0 && decimal[end - 1] === "9") end--;
  const zeros = "0".repeat(decimal.length - end);
  if (end === 0) return `1${zeros}`;
  return decimal.slice(0, end - 1) + String(Number(decimal[end - 1]) + 1) + zeros;
}

/** The decimal minus one; undefined for zero, which has no predecessor in a version. */
export function decrement(decimal: string): string | undefined {
  let end = decimal.length;
  while (end > 0 && decimal[end - 1] === "0") end--;
  if (end === 0) return undefined;
  const nines = "9".repeat(decimal.length - end);
  const digit = Number(decimal[end - 1]) - 1;
  if (end === 1 && digit === 0 && nines !== "") return nines;
  return decimal.slice(0, end - 1) + String(digit) + nines;
}
