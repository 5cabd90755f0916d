import { ProtocolError } from "../error.ts";
import { parseModFile } from "../modfile/index.ts";

/**
 * Whether the module's own go.mod asks for the vendoring rules of Go 1.24 (SPEC §5.4). A go.mod that cannot be read, or has
 * no go line, or one that is no Go version, asks for the old ones.
 */
export function hasGo124VendorRules(goMod: Uint8Array): boolean {
  const version = goDirective(goMod);
  // `1`, `1.24`, `1.24.3` or `1.24rc1`, numbers without leading zeros. A release candidate of a patch is no version.
  const parsed = /^(\d+)(?:\.(\d+)(?:\.(\d+)|[a-z]+(\d*))?)?$/.exec(version);
  if (parsed === null) return false;
  const [, major = "", minor = "0", ...rest] = parsed;
  if ([major, minor, ...rest].some((number) => number !== undefined && /^0\d/.test(number))) return false;
  return BigInt(major) > 1n || (major === "1" && BigInt(minor) >= 24n);
}

function goDirective(goMod: Uint8Array): string {
  try {
    return parseModFile(goMod, { lax: true }).go ?? "";
  } catch (error) {
    if (error instanceof ProtocolError) return "";
    throw error;
  }
}
