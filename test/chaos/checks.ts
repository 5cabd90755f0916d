import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { GetObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import type { S3Server } from "../support/s3-server.ts";
import type { Attempt } from "./clients.ts";
import type { ModuleWorld } from "./modules.ts";
import type { Site } from "./site.ts";

/** A fault of the run and when it was there, recovery included. */
export interface Window {
  readonly name: string;
  readonly mayFail: "all" | "cold" | "cut" | undefined;
  readonly from: number;
  readonly to: number;
}

/** Downloads that failed though nothing that happened meanwhile excuses it. */
export function unexcused(
  attempts: readonly Attempt[],
  windows: readonly Window[],
  world: ModuleWorld,
): readonly string[] {
  const known = new Set(world.known);
  return attempts.flatMap(({ module, problem, startedAt, endedAt }) => {
    if (problem === undefined) return [];
    const meanwhile = windows.filter(({ from, to }) => from <= endedAt && startedAt <= to);
    const isExcused = meanwhile.some(
      ({ mayFail }) =>
        mayFail === "all" ||
        (mayFail === "cold" && !known.has(module)) ||
        (mayFail === "cut" && /unexpected EOF|connection reset|stream error/.test(problem)),
    );
    const names = meanwhile.map(({ name }) => name).join("; ");
    return isExcused ? [] : [`${module} failed (during: ${names || "nothing"}): ${problem.slice(0, 600)}`];
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
  return wanted !== undefined && bytes.equals(wanted);
}

/** Modules in the bucket, by their keys below the prefix. */
async function* objectsOf(bucket: S3Server): AsyncGenerator<readonly [key: string, bytes: Buffer]> {
  const client = new S3Client({ ...bucket.options(), forcePathStyle: true });
  try {
    for await (const page of paginateListObjectsV2({ client }, { Bucket: bucket.bucket })) {
      for (const { Key = "" } of page.Contents ?? []) {
        const key = /\/((?:example\.com|gopkg\.in)\/.*)$/.exec(Key)?.[1];
        if (key === undefined || !/\.(mod|zip|info)$/.test(key)) continue;
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket.bucket, Key }));
        yield [key, Buffer.from((await Body?.transformToByteArray()) ?? [])];
      }
    }
  } finally {
    client.destroy();
  }
}
