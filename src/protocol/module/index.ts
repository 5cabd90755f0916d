export { checkFilePath, checkImportPath } from "./check.ts";
export { parseModulePath, tryParseModulePath } from "./path.ts";
export { checkPathMajor, matchesPathMajor, pathMajorPrefix, splitPathVersion, type PathVersion } from "./major.ts";
export { canonicalVersion, checkModuleVersion, parseVersion } from "./version.ts";
export { escapePath, escapeVersion, unescapePath, unescapeVersion } from "./escape.ts";
export { pathMatch } from "./path-match.ts";
export { matchPrefixPatterns } from "./match-prefix.ts";
