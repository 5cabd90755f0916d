import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { GetObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import { ProtocolError } from "../../src/protocol/error.ts";
import { parseVersion, unescapePath, unescapeVersion } from "../../src/protocol/module/index.ts";
import { hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import type { S3Server } from "../support/s3-server.ts";
import type { Attempt } from "./clients.ts";
import type { MayFail } from "./faults.ts";
import { type ModuleWorld, streamed } from "./modules.ts";
import { privatePattern, tellsPrivateName } from "./private-modules.ts";
import type { Site } from "./site.ts";

/** A fault of the run and when it was there, recovery included. */
export interface Window {
  readonly name: string;
  readonly mayFail: MayFail | undefined;
  readonly from: number;
  readonly to: number;
}

/** Whether they overlap. */
export function isDuring({ from, to }: Window, { startedAt, endedAt }: Attempt): boolean {
  return from <= endedAt && startedAt <= to;
}

/** Downloads that failed though nothing that happened meanwhile excuses it. */
export function unexcused(
  attempts: readonly Attempt[],
  windows: readonly Window[],
  world: ModuleWorld,
): readonly string[] {
  const known = new Set(world.known);
  return attempts.flatMap((attempt) => {
    const { module, problem } = attempt;
    if (problem === undefined) return [];
    const meanwhile = windows.filter((window) => isDuring(window, attempt));
    const isCold = !known.has(module);
    const isExcused = meanwhile.some(({ mayFail }) => {
      if (mayFail === "cut") return isCut(problem);
      if (mayFail === "streamed") return module === streamed && isCut(problem);
      if (mayFail === "private") return isCold && module.startsWith(privatePattern) && isOutage(problem);
      return (mayFail === "all" || (mayFail === "cold" && isCold)) && isOutage(problem);
    });
    const names = meanwhile.map(({ name }) => name).join("; ");
    return isExcused ? [] : [`${module} failed (during: ${names || "nothing"}): ${problem.slice(0, 600)}`];
  });
}

/** In go's words. Whatever else go says, such as of a hash or of what stands in a zip, no fault excuses. */
function isOutage(problem: string): boolean {
  return isCut(problem) || /connection refused|\bEOF\b|: 50[0234] /.test(problem);
}

function isCut(problem: string): boolean {
  return /unexpected EOF|connection reset|stream error/.test(problem);
}

/** Names of private modules that anybody but the git host was told, and whether it would have been noticed. */
export function leakedNames({ upstreams, log }: Site): readonly string[] {
  const asked = {
    "an upstream": upstreams.flatMap(({ paths }) => [...paths]),
    "the checksum database": log.requests.flatMap(({ path, url }) => [path, url]),
  };
  return Object.entries(asked).flatMap(([who, paths]) => {
    const leaked = paths.filter(tellsPrivateName).map((path) => `${who} was asked for ${path}`);
    return paths.some((path) => path.includes("example.com/")) ? leaked : [`${who} was asked for no module`, ...leaked];
  });
}

/** Files that are not byte for byte what the upstreams have, wherever they are stored. */
export async function wrongFiles(site: Site, world: ModuleWorld): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const [index, node] of site.nodes.entries()) {
    const root = path.join(node.dataDir, "modules");
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of entries.filter((one) => one.isFile())) {
      const file = path.join(entry.parentPath, entry.name);
      if (!isRight(world, file.slice(root.length + 1), await readFile(file))) wrong.push(`node ${index}: ${file}`);
    }
  }
  if (site.shared !== undefined) {
    for await (const [key, bytes] of objectsOf(site.shared.bucket)) {
      if (!isRight(world, key, bytes)) wrong.push(`bucket: ${key}`);
    }
  }
  return wrong;
}

function isRight(world: ModuleWorld, key: string, bytes: Buffer): boolean {
  // What Sluice writes itself is only whole or not; the others end in these.
  if (!/\.(mod|zip)$/.test(key)) return !key.endsWith(".info") || /^\{"Version":"v[^"]+".*\}$/.test(bytes.toString());
  const wanted = world.files.get(key);
  return (wanted !== undefined && bytes.equals(wanted)) || hasRightSum(world, key, bytes);
}

/** A zip may have other bytes and the same hash: another writer made it, or a bit is wrong in what go does not look at, such as a date. */
function hasRightSum(world: ModuleWorld, key: string, bytes: Buffer): boolean {
  const [, escapedPath = "", escapedVersion = "", kind = ""] = /^(.+)\/@v\/(.+)\.(mod|zip)$/.exec(key) ?? [];
  const subject = { modulePath: unescapePath(escapedPath), version: parseVersion(unescapeVersion(escapedVersion)) };
  const [zipSum, modSum] = (world.sums.get(`${subject.modulePath}@${subject.version}`) ?? "").split(" ");
  if (kind === "mod") return hashGoMod(bytes) === modSum;
  try {
    return hashZip(randomAccess(bytes), subject) === zipSum;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

/** Modules in the bucket, by their keys below the prefix. */
async function* objectsOf(bucket: S3Server): AsyncGenerator<readonly [key: string, bytes: Buffer]> {
  const client = new S3Client({ ...bucket.options(), forcePathStyle: true });
  try {
    for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket.bucket })) {
      for (const { Key = "" } of page.Contents ?? []) {
        const key = /\/((?:example\.com|gopkg\.in|github\.com)\/.*)$/.exec(Key)?.[1];
        if (key === undefined || !/\.(mod|zip|info)$/.test(key)) continue;
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket.bucket, Key }));
        yield [key, Buffer.from((await Body?.transformToByteArray()) ?? [])];
      }
    }
  } finally {
    client.destroy();
  }
}
