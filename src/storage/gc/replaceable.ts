import type { ModulePath } from "../../protocol/brand.ts";
import type { FileFacts } from "../../core/ports.ts";

export interface ReplaceableOptions {
  readonly isPrivate: (modulePath: ModulePath) => boolean;
  /** There is an upstream that public modules can be fetched from again. */
  readonly hasUpstream: boolean;
}

/** What is known of the stored files of a version. */
export interface KnownVersion {
  readonly modulePath: ModulePath;
  /** Of each file; undefined where nothing is recorded. */
  readonly facts: readonly (FileFacts | undefined)[];
  /** A checksum database has its zip or its go.mod. */
  readonly isConfirmed: boolean;
}

/**
 * Why a version may be lost for ever when it is removed; undefined when it can be fetched again, as what it was. An `.info` of a version that
 * came from its repository pins its commit, so it counts as much as a zip.
 */
export function whyIrreplaceable(version: KnownVersion, options: ReplaceableOptions): string | undefined {
  if (version.facts.includes(undefined)) return "nothing recorded";
  if (options.isPrivate(version.modulePath)) return "private";
  if (!options.hasUpstream) return "no upstream";
  for (const facts of version.facts) {
    if (facts === undefined || /^(https?|file):/.test(facts.source)) continue;
    const isFound = facts.source === "adopted" || facts.source.startsWith("copy of ");
    if (!isFound) return "from its repository";
    if (!version.isConfirmed) return "not confirmed";
  }
  return undefined;
}
