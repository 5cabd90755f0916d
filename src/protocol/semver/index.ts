export { build, canonical, isValid, major, majorMinor, prerelease } from "./semver.ts";
export { compareVersions, sortVersions } from "./compare.ts";
export {
  isPseudoVersion,
  pseudoVersion,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
  type PseudoVersionParts,
} from "./pseudo.ts";
