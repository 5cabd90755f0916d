import { ProtocolError } from "../error.ts";
import { canonicalVersion, checkModuleVersion } from "../module/index.ts";
import { goQuote } from "../quote.ts";

/** Whose zip it is. Both are checked before anything else. */
export interface ZipModule {
  readonly modulePath: string;
  /** Canonical. */
  readonly version: string;
}

/** Checks path and version and answers what all names in the module's zip begin with: `P@V/`. */
export function zipPrefix({ modulePath, version }: ZipModule): string {
  const canonical = canonicalVersion(version) ?? "";
  if (canonical !== version) {
    const problem = `version ${goQuote(version)} is not canonical (should be ${goQuote(canonical)})`;
    throw new ProtocolError("malformed_version", problem);
  }
  checkModuleVersion(modulePath, version);
  return `${modulePath}@${version}/`;
}
