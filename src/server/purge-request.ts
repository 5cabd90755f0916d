import { SluiceError } from "../core/errors.ts";
import type { PurgeSelection } from "../core/fleet.ts";
import type { ModulePath } from "../protocol/brand.ts";
import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type ModuleRequest, parseRequest } from "../protocol/goproxy/index.ts";
import { escapePath, escapeVersion, parseModulePath, pathMatch } from "../protocol/module/index.ts";
import { fieldsOf } from "./operator-body.ts";

const kinds = ["list", "latest", "query", "info", "mod", "zip"] as const satisfies readonly ModuleRequest["kind"][];

/**
 * What the body of `POST /-/purge` is about: `{module}` with `version`, `kind` or `negatives`, or `{pattern}` with `negatives`. Fails with
 * `bad_request` and says what to write.
 */
export function parsePurge(body: unknown): PurgeSelection {
  const { module, version, kind, negatives, pattern } = fieldsOf(body, {
    module: "text",
    version: "text",
    kind: "text",
    negatives: "flag",
    pattern: "text",
  });
  const missing = negatives === true ? { onlyMissing: true } : {};
  if (pattern !== undefined) {
    if (module !== undefined || version !== undefined || kind !== undefined)
      throw bad("pattern stands alone or beside negatives; leave module, version and kind out");
    return { pattern: checkPattern(pattern), ...missing };
  }
  if (module === undefined) throw bad('it names neither module nor pattern; write {"module": "example.com/mod"}');
  const modulePath = parse(() => parseModulePath(module));
  const keys = keysOf(modulePath, version, checkKind(kind));
  return keys === undefined ? { module: modulePath, ...missing } : { keys, ...missing };
}

/** Undefined: all of the module. */
function keysOf(
  modulePath: ModulePath,
  version: string | undefined,
  kind: (typeof kinds)[number] | undefined,
): readonly string[] | undefined {
  if (version === undefined) {
    if (kind === undefined) return undefined;
    if (kind === "list" || kind === "latest") return [blobKey({ kind, modulePath })];
    throw bad(`the kind ${kind} needs a version; write {"module": …, "version": …, "kind": "${kind}"}`);
  }
  if (kind === "list" || kind === "latest") throw bad(`the kind ${kind} has no version; leave version out`);
  if (version === "latest") return [blobKey({ kind: "latest", modulePath })];
  const request = parse(() => parseRequest(`/${escapePath(modulePath)}/@v/${escapeVersion(version)}.info`));
  if (request.kind !== "info") {
    if (kind === undefined || kind === "query") return [blobKey(request)];
    throw bad(`${version} is no version but a query, such as a branch or a commit; leave kind out`);
  }
  if (kind === "query") throw bad(`${version} is a version and no query; leave kind out`);
  const files = kind === undefined ? (["info", "mod", "zip"] as const) : [kind];
  return files.map((file) => blobKey({ ...request, kind: file }));
}

function checkKind(kind: string | undefined): (typeof kinds)[number] | undefined {
  const known = kinds.find((one) => one === kind);
  if (known === undefined && kind !== undefined)
    throw bad(`there is no kind ${JSON.stringify(kind)}; it is one of ${kinds.join(", ")}`);
  return known;
}

function checkPattern(pattern: string): string {
  if (pattern === "" || /\s/.test(pattern))
    throw bad("the pattern is empty or has a blank in it; write it as in GOPRIVATE, such as example.com/team/*");
  for (const glob of pattern.split(",")) parse(() => pathMatch(glob, ""));
  return pattern;
}

function parse<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ProtocolError) throw bad(error.message);
    throw error;
  }
}

function bad(problem: string): SluiceError {
  return new SluiceError("bad_request", problem);
}
