import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GetObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import { generatedFile, generatedH1 } from "../generated-modules.ts";
import { isSameInfo } from "./ingest.ts";
import type { ModeBucket } from "./modes.ts";

/** Whether the file may be stored under this key: byte for byte the upstream's, or what Sluice writes itself of it. */
export function isRight(key: string, bytes: Buffer): boolean {
  const [, module, version] = /^(.+)\/@v\/(.+)\.ziphash$/.exec(key) ?? [];
  if (module !== undefined && version !== undefined) return bytes.toString() === generatedH1(module, version);
  const wanted = generatedFile(key);
  if (wanted === undefined) return false;
  return /\.info$|@latest$/.test(key) ? isSameInfo(bytes, wanted) : bytes.equals(wanted);
}

/** Keys below a folder of `modules/`, of all files or of those that are wrong. */
export async function storedKeys(dataDir: string, below: string): Promise<readonly string[]> {
  const root = path.join(dataDir, "modules");
  return (await filesIn(path.join(root, below))).map((file) => path.relative(root, file));
}

export async function wrongKeys(dataDir: string, keys: readonly string[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const key of keys) {
    if (!isRight(key, await readFile(path.join(dataDir, "modules", key)))) wrong.push(key);
  }
  return wrong;
}

/** All files below; none where there is no such folder. */
export async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** What SQLite finds wrong in the databases of a data folder. Needs a folder that nobody has open. */
export async function brokenDatabases(dataDir: string): Promise<readonly string[]> {
  const names = (await readdir(dataDir)).filter((name) => name.endsWith(".db"));
  return names.flatMap((name) => {
    const database = new DatabaseSync(path.join(dataDir, name));
    try {
      const said = JSON.stringify(database.prepare("PRAGMA integrity_check").all());
      return said === '[{"integrity_check":"ok"}]' ? [] : [`${name}: ${said}`];
    } finally {
      database.close();
    }
  });
}

/** Keys of the files that are in a bucket, and those that are wrong. Only what is not in `proven` is read, and added to it when it is right. */
export async function bucketKeys(
  { server, prefix }: ModeBucket,
  proven: Set<string>,
): Promise<{ readonly keys: ReadonlySet<string>; readonly wrong: readonly string[] }> {
  const keys = new Set<string>();
  const wrong: string[] = [];
  const client = new S3Client({ ...server.options(), forcePathStyle: true });
  try {
    for await (const page of paginateListObjectsV2({ client }, { Bucket: server.bucket, Prefix: prefix })) {
      for (const { Key = "" } of page.Contents ?? []) {
        const [, key] = /(example\.com\/gen\/.+)$/.exec(Key) ?? [];
        if (key === undefined) continue;
        keys.add(key);
        if (proven.has(key)) continue;
        const { Body } = await client.send(new GetObjectCommand({ Bucket: server.bucket, Key }));
        if (isRight(key, Buffer.from((await Body?.transformToByteArray()) ?? []))) proven.add(key);
        else wrong.push(key);
      }
    }
  } finally {
    client.destroy();
  }
  return { keys, wrong };
}
