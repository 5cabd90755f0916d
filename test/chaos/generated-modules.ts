import { createHash } from "node:crypto";
import { incompressible } from "../support/fixture-modules.ts";
import { rawZip } from "../support/raw-zip.ts";

/** Every module has these, and the branch `main` is the last one. */
export const generatedVersions = ["v1.0.0", "v1.1.0", "v1.2.0"] as const;
const latest = "v1.2.0";
const time = "2024-01-02T03:04:05Z";

const poolBytes = 4 * 1024 * 1024;
const kib = 1024;
let pool: Uint8Array | undefined;

/** The path of the module with this number, in a set of modules such as `k17`. Any set and number is one. */
export function generatedModule(set: string, number: number): string {
  return `example.com/gen/${set}/m${number}`;
}

/**
 * What a GOPROXY with all generated modules answers for this path without its leading slash; undefined is 404. It is made anew
 * each time, the same bytes for the same key, so modules without end need no memory. Zips are of 0.5 KiB to 3 MiB, 250 KiB on average.
 */
export function generatedFile(key: string): Buffer | undefined {
  const [, path, file] = /^(example\.com\/gen\/[a-z0-9]+\/m\d+)\/(@latest|@v\/.+)$/.exec(key) ?? [];
  if (path === undefined || file === undefined) return undefined;
  if (file === "@v/list") return Buffer.from(generatedVersions.map((version) => `${version}\n`).join(""));
  if (file === "@latest" || file === "@v/main.info") return Buffer.from(infoOf(latest));
  const [, version, kind] = /^@v\/(.+)\.(info|mod|zip)$/.exec(file) ?? [];
  if (!generatedVersions.some((one) => one === version) || version === undefined) return undefined;
  if (kind === "info") return Buffer.from(infoOf(version));
  if (kind === "mod") return Buffer.from(goModOf(path));
  const entries = entriesOf(path, version).map(({ name, content }) => ({ name, content, method: 0 }));
  return rawZip(entries);
}

/** As `.ziphash` has it, of the content that the zip was made of. */
export function generatedH1(path: string, version: string): string {
  const lines = entriesOf(path, version)
    .map(({ name, content }) => `${createHash("sha256").update(content).digest("hex")}  ${name}\n`)
    .sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1));
  return `h1:${createHash("sha256").update(lines.join("")).digest("base64")}`;
}

function entriesOf(path: string, version: string): readonly { readonly name: string; readonly content: Uint8Array }[] {
  pool ??= incompressible(poolBytes);
  const dice = createHash("sha256").update(`${path}@${version}`).digest();
  const size = sizeOf(dice);
  const start = dice.readUInt32BE(8) % (poolBytes - size);
  const root = `${path}@${version}/`;
  return [
    { name: `${root}doc.go`, content: Buffer.from(`// Of ${path} ${version}.\npackage generated\n`) },
    { name: `${root}go.mod`, content: Buffer.from(goModOf(path)) },
    { name: `${root}data.bin`, content: pool.subarray(start, start + size) },
  ];
}

function sizeOf(dice: Buffer): number {
  const luck = dice.readUInt32BE(0) % 100;
  const [from, to] =
    luck < 55
      ? [0, 40 * kib]
      : luck < 85
        ? [64 * kib, 400 * kib]
        : luck < 97
          ? [400 * kib, 1200 * kib]
          : [1500 * kib, 3000 * kib];
  return from + (dice.readUInt32BE(4) % (to - from));
}

function infoOf(version: string): string {
  return JSON.stringify({ Version: version, Time: time });
}

function goModOf(path: string): string {
  return `module ${path}\n\ngo 1.21\n`;
}
