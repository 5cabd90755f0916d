import { rm, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { parseRequest } from "../../src/protocol/goproxy/index.ts";
import { hashGoMod, hashZip, randomAccess } from "../../src/protocol/zip/index.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { Events } from "../../src/core/events.ts";
import type { FileFacts, ModuleStore } from "../../src/core/ports.ts";
import { createSdkHandler } from "../../src/net/sdk-handler.ts";
import { createS3BlobStore } from "../../src/storage/blob/s3.ts";
import { type DataFolderOptions, openDataFolder } from "../../src/storage/data-folder.ts";
import { createZipVerifier } from "../../src/storage/zip-verifier.ts";
import { buildZip, incompressible } from "./fixture-modules.ts";

// A process that keeps modules in a data folder, one line on stdout for each file when it is kept. Tests run several, or kill it.

/** What a writer of this name keeps for the n-th module: key to content. The same for the same arguments. */
export function moduleFiles(index: number, writer: string): ReadonlyMap<string, Buffer> {
  const base = `example.com/m${index}/@v/v1.0.0`;
  const size = [200, 40_000, 1_500_000][index % 3] ?? 0;
  const data = Buffer.concat([Buffer.from(`${writer} ${index}\n`), incompressible(size)]);
  return new Map([
    [`${base}.info`, Buffer.from(JSON.stringify({ Version: "v1.0.0", Origin: { URL: `https://${writer}.example` } }))],
    [`${base}.mod`, Buffer.from(`module example.com/m${index}\n\n// ${writer}\n`)],
    [`${base}.zip`, Buffer.from(buildZip({ [`example.com/m${index}@v1.0.0/data`]: data }))],
  ]);
}

export const recordKey = "example.com/hot/@v/list";

/** The n-th content of the one record that is replaced all the time. */
export function recordContent(index: number): string {
  return Array.from({ length: (index % 50) + 1 }, (_, patch) => `v1.${index}.${patch}\n`).join("");
}

export function openWriterStore(
  dataDir: string,
  events: Events,
  bucket?: DataFolderOptions["bucket"],
): Promise<ModuleStore> {
  const memory = { memoryBytes: 8 * 1024 * 1024, wholeFileLimitBytes: 1024 * 1024 };
  return openDataFolder({
    ...memory,
    dataDir,
    clock: systemClock,
    events,
    verifier: createZipVerifier({ workers: 1 }),
    ...(bucket !== undefined && { bucket }),
  });
}

async function write(): Promise<void> {
  const { values } = parseArgs({
    options: {
      data: { type: "string", default: "" },
      writer: { type: "string", default: "writer" },
      first: { type: "string", default: "0" },
      last: { type: "string", default: "1000000" },
      // The environment has the keys.
      endpoint: { type: "string" },
      prefix: { type: "string", default: "" },
    },
  });
  const bucket = values.endpoint === undefined ? undefined : bucketAt(values.endpoint, values.prefix);
  const store = await openWriterStore(values.data, { emit: () => undefined }, bucket);
  let next = Number(values.first);
  async function writeModules(): Promise<void> {
    for (let index = next++; index <= Number(values.last); index = next++) {
      await store.keepRecord(parseRequest(`/${recordKey}`), Buffer.from(recordContent(index)), values.writer);
      for (const [key, bytes] of moduleFiles(index, values.writer)) {
        const sha256 = await keepFile(store, key, bytes, values.writer);
        process.stdout.write(`${JSON.stringify({ key, sha256 })}\n`);
      }
    }
  }
  // Several at once, so that some file is half written at every moment.
  await Promise.all(Array.from({ length: 4 }, writeModules));
  await store.close();
}

/** As `openBucketNode` opens it. */
function bucketAt(endpoint: string, prefix: string): NonNullable<DataFolderOptions["bucket"]> {
  const place = { bucket: "modules", prefix, endpoint, region: "us-east-1", pathStyle: true };
  const store = createS3BlobStore({ ...place, requestHandler: createSdkHandler({ ca: [] }), clock: systemClock });
  return { store, id: prefix, maxDiskBytes: 0 };
}

export async function keepFile(store: ModuleStore, key: string, bytes: Buffer, source: string): Promise<string> {
  const facts: Omit<FileFacts, "key" | "firstSeenAt"> = {
    size: bytes.length,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    h1: h1Of(key, bytes),
    source,
  };
  const request = parseRequest(`/${key}`);
  if (!key.endsWith(".zip")) return (await store.keep(request, { bytes }, facts)).sha256;
  const file = await store.stagingFile();
  await writeFile(file, bytes);
  const kept = await store.keep(request, { file, size: bytes.length }, facts);
  await rm(file, { force: true });
  return kept.sha256;
}

function h1Of(key: string, bytes: Buffer): FileFacts["h1"] {
  if (key.endsWith(".mod")) return hashGoMod(bytes);
  const modulePath = key.slice(0, key.indexOf("/@v/"));
  return key.endsWith(".zip") ? hashZip(randomAccess(bytes), { modulePath, version: "v1.0.0" }) : undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await write();
