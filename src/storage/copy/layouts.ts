import type { ModuleRequest } from "../../protocol/goproxy/index.ts";
import type { BlobKey } from "../../core/ports.ts";
import { requestOf } from "../layout.ts";

/**
 * What a file is, by its name below the root of a place, in any of the layouts that are copied from:
 *
 * - ours, a module cache's and a `file://` GOPROXY's (SPEC §7);
 * - of Athens in S3: the same names, but paths and versions are not escaped;
 * - of Athens on disk and in MinIO: `<module>/<version>/{go.mod,source.zip,<version>.info}`, not escaped.
 *
 * They cannot be confused: an escaped path has no capital letter, and no path has an element `@v`.
 */
export function requestAt(name: string): ModuleRequest | undefined {
  return requestOf(name) ?? requestOf(athensObjectKey(name) ?? "") ?? requestOf(athensFileKey(name) ?? "");
}

function athensObjectKey(name: string): BlobKey | undefined {
  const [, modulePath, version, kind] = /^(.+)\/@v\/([^/]+)\.(info|mod|zip)$/.exec(name) ?? [];
  if (modulePath === undefined || version === undefined) return undefined;
  return `${escaped(modulePath)}/@v/${escaped(version)}.${kind}`;
}

function athensFileKey(name: string): BlobKey | undefined {
  const [, modulePath, version, file] = /^(.+)\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
  if (modulePath === undefined || version === undefined) return undefined;
  const kind = new Map([
    ["go.mod", "mod"],
    ["source.zip", "zip"],
    [`${version}.info`, "info"],
  ]).get(file ?? "");
  return kind === undefined ? undefined : `${escaped(modulePath)}/@v/${escaped(version)}.${kind}`;
}

/** As it is where it is escaped already: `!` stands in no path and no version. */
function escaped(text: string): string {
  return text.includes("!") ? text : text.replaceAll(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}
