/**
 * `http.lowSpeed*` ends transfers that hang, redirects are followed where git asks for refs only, and `protocol.allow` keeps
 * `ext::` and the like out; `GIT_ALLOW_PROTOCOL` of each run narrows it to the one scheme that is meant.
 */
export const ownConfig = [
  ["core.hooksPath", "/dev/null"],
  ["core.fsmonitor", "false"],
  ["core.attributesFile", "/dev/null"],
  ["core.excludesFile", "/dev/null"],
  ["core.askPass", ""],
  ["protocol.allow", "never"],
  ["protocol.version", "2"],
  ["http.followRedirects", "initial"],
  ["http.lowSpeedLimit", "100"],
  ["http.lowSpeedTime", "30"],
  ["gc.auto", "0"],
  ["maintenance.auto", "false"],
  ["fetch.writeCommitGraph", "false"],
  ["fetch.recurseSubmodules", "false"],
  ["fetch.showForcedUpdates", "false"],
  // A fetch is one pack, however small: a file for each object takes longer, to write and to read.
  ["fetch.unpackLimit", "1"],
  ["submodule.recurse", "false"],
  ["advice.detachedHead", "false"],
  ["log.showSignature", "false"],
  ["core.longpaths", "true"],
] as const;

/** `url.X.insteadOf` is `[url "X"] insteadOf`. */
export function configLine(key: string, value: string): string {
  const dot = key.indexOf(".");
  const last = key.lastIndexOf(".");
  const subsection = dot === last ? "" : ` ${JSON.stringify(key.slice(dot + 1, last))}`;
  return `[${key.slice(0, dot)}${subsection}]\n\t${key.slice(last + 1)} = ${JSON.stringify(value)}\n`;
}
