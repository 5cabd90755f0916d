import type { SourceFile } from "../../protocol/zip/index.ts";

/** What git puts before all names, so that none of them can begin with anything else. */
export const archivePrefix = "prefix/";

export interface ModuleFilesOptions {
  /** Folder of the module in the repository, empty for the root. */
  readonly dir: string;
  /** Of the repository's root. */
  readonly license: Uint8Array | undefined;
}

/** The files of a module out of an archive of its repository (SPEC §5.2): a module in a folder without LICENSE gets the root's. */
export function moduleFiles(archive: Iterable<SourceFile>, { dir, license }: ModuleFilesOptions): SourceFile[] {
  const prefix = archivePrefix + (dir === "" ? "" : `${dir}/`);
  const files: SourceFile[] = [];
  for (const file of archive) {
    if (file.path.length > prefix.length && file.path.startsWith(prefix)) {
      files.push({ ...file, path: file.path.slice(prefix.length) });
    }
  }
  const hasLicense = files.some(({ path }) => path === "LICENSE");
  if (!hasLicense && dir !== "" && license !== undefined) files.push({ path: "LICENSE", content: license });
  return files;
}
