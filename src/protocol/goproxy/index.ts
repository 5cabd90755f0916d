export { type InfoRequest, type ModuleInfo, type Origin, formatInfo, maxInfoBytes, parseInfo } from "./info.ts";
export { type LatestStep, isRetracted, newestTimed, nextLatestStep } from "./latest.ts";
export { type TimedVersion, type VersionList, formatList, parseList } from "./list.ts";
export { blobKey, requestUrl } from "./location.ts";
export { canNeverBeModule } from "./probe.ts";
export {
  type FileRequest,
  type ModuleRequest,
  type QueryRequest,
  type RecordRequest,
  parseRequest,
} from "./request.ts";
