import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { unescapePath, unescapeVersion } from "../../src/protocol/module/index.ts";

/** Files by the keys of our own layout, as somebody else names them. */
export type Layout = (key: string) => string | undefined;

export const ourLayout: Layout = (key) => key;

/** Of Athens in S3: as ours, with nothing escaped. It keeps no lists. */
export const athensObjects: Layout = (key) => {
  const file = parse(key);
  return file && `${file.modulePath}/@v/${file.version}.${file.kind}`;
};

/** Of Athens on disk, and in MinIO. */
export const athensFiles: Layout = (key) => {
  const file = parse(key);
  if (file === undefined) return undefined;
  const { modulePath, version, kind } = file;
  const name = { info: `${version}.info`, mod: "go.mod", zip: "source.zip" }[kind];
  return `${modulePath}/${version}/${name}`;
};

export async function writeLayout(
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
  layout: Layout = ourLayout,
): Promise<void> {
  for (const [key, bytes] of files) {
    const name = layout(key);
    if (name === undefined) continue;
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), bytes);
  }
}

/** All files below a folder, by their names there. */
export async function readFiles(folder: string): Promise<Map<string, Buffer>> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const files = await Promise.all(
    names.toSorted().map(async (name) => [name, await readFile(path.join(folder, name))] as const),
  );
  return new Map(files);
}

function parse(key: string) {
  const [, modulePath, version, kind] = /^(.+)\/@v\/(v[^/]+)\.(info|mod|zip)$/.exec(key) ?? [];
  if (modulePath === undefined || version === undefined) return undefined;
  if (kind !== "info" && kind !== "mod" && kind !== "zip") return undefined;
  return { modulePath: unescapePath(modulePath), version: unescapeVersion(version), kind };
}
