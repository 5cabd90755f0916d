export { scanModulePath } from "./module-path.ts";
export {
  type Exclusion,
  type ModFile,
  type Replacement,
  type Requirement,
  type Retract,
  parseModFile,
} from "./parse.ts";
