import { readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { blobKey, type FileRequest } from "../protocol/goproxy/index.ts";
import { SluiceError } from "../core/errors.ts";
import type { Events } from "../core/events.ts";
import type { ModuleStore, StoredFile, ZipVerifier } from "../core/ports.ts";
import { isFileRequest, requestOf } from "./layout.ts";
import { type LocalStore, openLocalStore } from "./local-store.ts";
import { systemClock } from "../core/clock.ts";
import { checkStored } from "./scrub/check-stored.ts";
import { createHeal } from "./scrub/heal.ts";
import { setAside } from "./scrub/set-aside.ts";

export interface CorruptionOptions {
  readonly dataDir: string;
  readonly verifier: ZipVerifier;
  readonly events: Events;
  readonly peek: ModuleStore["peek"];
  readonly fetch: (request: FileRequest, signal: AbortSignal) => Promise<StoredFile>;
}

/** Held in memory, to be put back when nobody has the file any more. */
const maxBytes = 16 * 1024 * 1024;
const maxCandidates = 1000;

/**
 * Changes a byte of one stored file, and has it found and healed as a scrub does. Resolves when the file is whole again; when that
 * cannot be, what was there is put back, and it fails with why.
 */
export async function corruptStored(options: CorruptionOptions, signal: AbortSignal): Promise<void> {
  const { dataDir, events, verifier, peek, fetch } = options;
  const store = await openLocalStore(dataDir, { events, clock: systemClock, staging: "drill" });
  try {
    const request = await choose(store);
    const key = blobKey(request);
    const file = path.join(dataDir, "modules", key);
    const good = await readFile(file);
    const brokenAt = systemClock.now();
    await flip(file, good, store);
    try {
      const found = await checkStored(request, { store, verifier, spend: () => Promise.resolve() });
      if (found.state !== "broken") throw new Error(`${key} was changed on the disk, and that was not noticed`);
      await setAside(request, found, { store, events });
      await createHeal({ store, peek, fetch })(request, signal);
      events.emit({ type: "file_healed", key, outcome: "healed", durationMs: systemClock.now() - brokenAt });
    } finally {
      await putBack(request, good, store);
    }
  } finally {
    await store.close();
  }
}

/** A small one that is known to come from a source. */
async function choose({ ledger, blobs }: LocalStore): Promise<FileRequest> {
  let looked = 0;
  for await (const { key, size, source, h1 } of ledger.listFacts("")) {
    if (++looked > maxCandidates) break;
    const request = requestOf(key);
    if (request === undefined || !isFileRequest(request) || h1 === undefined || size === 0 || size > maxBytes) continue;
    if (source !== "adopted" && (await blobs.stat(key))?.size === size) return request;
  }
  throw new SluiceError(
    "not_found",
    "nothing is stored yet that could be broken and fetched again; ask for a module first",
  );
}

/** Under another name first: whoever reads it now reads on in the good one. */
async function flip(file: string, good: Uint8Array, store: LocalStore): Promise<void> {
  const bad = Uint8Array.from(good);
  const middle = Math.floor(bad.length / 2);
  bad[middle] = (bad[middle] ?? 0) ^ 1;
  const staged = await store.stagingFile();
  await writeFile(staged, bad);
  await rename(staged, file);
}

/** Unless a good one stands there. */
async function putBack(request: FileRequest, good: Uint8Array, { blobs, ledger }: LocalStore): Promise<void> {
  const key = blobKey(request);
  const facts = await ledger.facts(key);
  const standing = await (await blobs.get(key))?.read();
  if (standing !== undefined && facts !== undefined && Buffer.from(standing).equals(good)) return;
  if (standing !== undefined) await blobs.delete(key);
  await blobs.create(key, { bytes: good });
}
