import { ProtocolError } from "../error.ts";
import { maxTreeSize } from "./limits.ts";

// Numbers of a log go beyond 32 bits, so there are no shifts and no masks here.

/** @throws ProtocolError `malformed_index` unless `size` is an integer from 0 to `maxTreeSize`. */
export function checkTreeSize(size: number): void {
  checkRange(size, maxTreeSize, "tree size");
}

/** @throws ProtocolError `malformed_index` unless `value` is an integer from 0 to `max`. */
export function checkRange(value: number, max: number, what: string): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= max) return;
  throw new ProtocolError("malformed_index", `${what} ${value} is not a number from 0 to ${max}`);
}

/** How many bits of `n` are set. */
export function countOnes(n: number): number {
  return countOnes32(n % 2 ** 32) + countOnes32(Math.floor(n / 2 ** 32));
}

/** How many of the lowest bits of `n` are set. */
export function countTrailingOnes(n: number): number {
  let count = 0;
  for (let rest = n; rest % 2 === 1; rest = (rest - 1) / 2) count++;
  return count;
}

/** The largest level with `2 ** level <= n`, for `n` from 1. */
export function floorLog2(n: number): number {
  const high = Math.floor(n / 2 ** 32);
  return high > 0 ? 63 - Math.clz32(high) : 31 - Math.clz32(n);
}

function countOnes32(n: number): number {
  let pairs = n - ((n >>> 1) & 0x5555_5555);
  pairs = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((pairs + (pairs >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
