export type { Exclusion, ModFile, Replacement, Requirement, Retract } from "./mod-file.ts";
export { scanModulePath } from "./module-path.ts";
export { maxParsedBytes, parseModFile } from "./parse.ts";
export { type GoSumEntry, formatGoSum, parseGoSum } from "./go-sum.ts";
