import type { ModulePath, Version } from "../../protocol/brand.ts";
import { blobKey, type FileRequest, type ModuleRequest } from "../../protocol/goproxy/index.ts";
import { matchPrefixPatterns } from "../../protocol/module/index.ts";
import { isFileRequest } from "../layout.ts";
import { requestAt } from "./layouts.ts";
import type { Place } from "./place.ts";

export interface ListedFile<Request extends ModuleRequest = ModuleRequest> {
  readonly request: Request;
  /** In the place. */
  readonly name: string;
  readonly size: number;
}

export interface ListedVersion {
  readonly modulePath: ModulePath;
  readonly version: Version;
  /** One per kind, in the order they are kept in: the zip, which can be another one than stands at the target, first. */
  readonly files: readonly ListedFile<FileRequest>[];
}

/** What a place has. */
export interface Inventory {
  readonly versions: readonly ListedVersion[];
  /** `list`, `@latest` and answers for branches and commits. */
  readonly records: readonly ListedFile[];
}

const order = ["zip", "mod", "info"];

/** Looks through the whole place. `patterns`, as in GOPRIVATE, say which modules count; `""` is all. */
export async function takeInventory(place: Place, patterns: string): Promise<Inventory> {
  const versions = new Map<string, ListedFile<FileRequest>[]>();
  const records = new Map<string, ListedFile>();
  for await (const { name, size } of place.list()) {
    const request = requestAt(name);
    if (request === undefined) continue;
    if (patterns !== "" && !matchPrefixPatterns(patterns, request.modulePath)) continue;
    if (!isFileRequest(request)) {
      records.set(blobKey(request), { request, name, size });
      continue;
    }
    const id = `${request.modulePath}@${request.version}`;
    const files = versions.get(id) ?? [];
    if (files.some((file) => file.request.kind === request.kind)) continue;
    files.push({ request, name, size });
    versions.set(id, files);
  }
  return { versions: [...versions.values()].flatMap(toVersion), records: [...records.values()] };
}

function toVersion(files: readonly ListedFile<FileRequest>[]): ListedVersion[] {
  const [first] = files;
  if (first === undefined) return [];
  const { modulePath, version } = first.request;
  const sorted = files.toSorted((a, b) => order.indexOf(a.request.kind) - order.indexOf(b.request.kind));
  return [{ modulePath, version, files: sorted }];
}
