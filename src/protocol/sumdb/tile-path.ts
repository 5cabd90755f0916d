import { ProtocolError } from "../error.ts";
import { quoteShort } from "../go-text.ts";
import { maxTreeSize } from "./limits.ts";
import type { Tile } from "./tile.ts";

const shape = /^tile\/([1-9][0-9]?)\/(data|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]*))?$/;
const maxHeight = 30;
const maxLevel = 63;

/** Where a tile stands below the address of a log, such as `tile/8/0/x001/234.p/5` (SPEC §6.3). */
export function tilePath({ height, level, index, width }: Tile): string {
  let rest = Math.floor(index / 1000);
  let number = threeDigits(index % 1000);
  for (; rest > 0; rest = Math.floor(rest / 1000)) number = `x${threeDigits(rest % 1000)}/${number}`;
  const partial = width === 2 ** height ? "" : `.p/${width}`;
  return `tile/${height}/${level === -1 ? "data" : level}/${number}${partial}`;
}

/**
 * Reads what `tilePath` writes, and nothing else.
 *
 * @throws ProtocolError `malformed_tile`
 */
export function parseTilePath(path: string): Tile {
  const [, height, level, number, width] = shape.exec(path) ?? [];
  if (height === undefined || level === undefined || number === undefined) throw malformed(path);
  const tile = {
    height: Number(height),
    level: level === "data" ? -1 : Number(level),
    index: Number(number.replaceAll(/[x/]/g, "")),
    width: width === undefined ? 2 ** Number(height) : Number(width),
  };
  const isPossible = tile.height <= maxHeight && tile.level <= maxLevel && tile.index < maxTreeSize;
  if (!isPossible || tile.width > 2 ** tile.height || tilePath(tile) !== path) throw malformed(path);
  return tile;
}

function threeDigits(n: number): string {
  return String(n).padStart(3, "0");
}

function malformed(path: string): ProtocolError {
  return new ProtocolError("malformed_tile", `malformed tile path ${quoteShort(path)}`);
}
