import type { SourceFile } from "../../protocol/zip/index.ts";
import type { PackedFiles } from "./module-tree.ts";

/** What git puts before all names, so that none of them can begin with anything else. */
export const archivePrefix = "prefix/";

export interface ModuleFilesOptions {
  /** Folder of the module in the repository, empty for the root. */
  readonly dir: string;
  /** Of the repository's root. */
  readonly license: Uint8Array | undefined;
}

/** The files of a module out of an archive of its repository (SPEC §5.2). */
export function moduleFiles(archive: Iterable<SourceFile>, options: ModuleFilesOptions): SourceFile[] {
  const { dir } = options;
  const prefix = archivePrefix + (dir === "" ? "" : `${dir}/`);
  const files: SourceFile[] = [];
  for (const file of archive) {
    if (file.path.length > prefix.length && file.path.startsWith(prefix)) {
      files.push({ ...file, path: file.path.slice(prefix.length) });
    }
  }
  return withLicense(files, options);
}

/** The same out of the files below its folder. */
export function unpackFiles({ files, bytes }: PackedFiles, options: ModuleFilesOptions): SourceFile[] {
  let at = 0;
  const unpacked = files.map(({ path, isLink, size }): SourceFile => {
    const content = bytes.subarray(at, at + size);
    at += size;
    return isLink ? { path, kind: "symlink", content } : { path, content };
  });
  return withLicense(unpacked, options);
}

/** A module in a folder without LICENSE gets the root's. */
function withLicense(files: SourceFile[], { dir, license }: ModuleFilesOptions): SourceFile[] {
  const hasLicense = files.some(({ path }) => path === "LICENSE");
  if (!hasLicense && dir !== "" && license !== undefined) files.push({ path: "LICENSE", content: license });
  return files;
}
