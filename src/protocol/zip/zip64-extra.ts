import { malformedEntry } from "./problem.ts";
import { max32, readUInt64, zip64Tag } from "./records.ts";

/** Finds the zip64 block of an extra field. As in go, a field that does not parse to its end is ignored from there on. */
export function findZip64Block(extra: Buffer, name: string): Buffer | undefined {
  let found: Buffer | undefined;
  for (let at = 0; at + 4 <= extra.length;) {
    const tag = extra.readUInt16LE(at);
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) break;
    if (tag === zip64Tag) {
      if (found !== undefined) throw malformedEntry(name, "two zip64 extra fields");
      found = extra.subarray(at + 4, end);
    }
    at = end;
  }
  return found;
}

/**
 * Replaces every number that is the 32 bit maximum by the next one of the zip64 block. What else the block holds must be
 * the full list of the same numbers: some writers (go's is one) repeat those that did fit.
 */
export function resolveZip64(values: readonly number[], block: Buffer | undefined, name: string): number[] {
  let at = 0;
  const resolved = values.map((value) => {
    if (value !== max32) return value;
    if (block === undefined || at + 8 > block.length) {
      throw malformedEntry(name, "a size or offset of 0xffffffff without its zip64 extra field");
    }
    at += 8;
    return readUInt64(block, at - 8);
  });
  if (block !== undefined && at !== block.length) checkFullList(resolved, block, name);
  return resolved;
}

function checkFullList(values: readonly number[], block: Buffer, name: string): void {
  const count = Math.min(values.length, Math.floor(block.length / 8));
  // Behind all three numbers of a central entry the number of the disk may follow.
  const diskBytes = block.length - count * 8;
  const diskIsZero = diskBytes === 4 && count === 3 && block.readUInt32LE(24) === 0;
  if (count === 0 || (diskBytes !== 0 && !diskIsZero)) {
    throw malformedEntry(name, `a zip64 extra field of ${block.length} bytes that fits no entry`);
  }
  for (const [index, value] of values.slice(0, count).entries()) {
    const value64 = readUInt64(block, index * 8);
    if (value64 !== value) {
      throw malformedEntry(name, `the zip64 extra field has ${value64} where the header has ${value}`);
    }
  }
}
