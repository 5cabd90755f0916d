import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import { SluiceError } from "../../core/errors.ts";
import { openDiskBlob } from "../blob/disk-blob.ts";
import { openFactReader } from "../ledger/fact-reader.ts";
import { readFolder } from "../folders.ts";
import { isMissing, storageError } from "../storage-error.ts";
import type { Place, PlacedFile } from "./place.ts";

/** A data folder of Sluice, a module cache, or any folder with modules in a layout that `requestAt` knows. */
export async function openFolderPlace(folder: string): Promise<Place> {
  await refuseMissing(folder);
  const root = rootOf(folder);
  const ledger = path.join(folder, "ledger.db");
  const facts = root !== folder && existsSync(ledger) ? openFactReader(ledger) : undefined;
  return {
    name: folder,
    list: () => walk(root, ""),
    open: (name) => openDiskBlob(path.join(root, name)),
    facts: (key) => facts?.facts(key),
    close: async () => facts?.close(),
  };
}

/** A host has a dot in its name, so these two are no modules. */
function rootOf(folder: string): string {
  const inner = ["modules", "cache/download"].map((name) => path.join(folder, name));
  return inner.find((candidate) => existsSync(candidate)) ?? folder;
}

async function* walk(root: string, prefix: string): AsyncGenerator<PlacedFile> {
  const folder = path.join(root, prefix);
  for (const entry of await readFolder(folder)) {
    const name = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(root, name);
    else if (entry.isFile() || entry.isSymbolicLink()) yield* ifFile(root, name);
  }
}

async function* ifFile(root: string, name: string): AsyncGenerator<PlacedFile> {
  try {
    const stats = await stat(path.join(root, name));
    if (stats.isFile()) yield { name, size: stats.size };
  } catch (error) {
    if (!isMissing(error)) throw storageError("read", path.join(root, name), error);
  }
}

async function refuseMissing(folder: string): Promise<void> {
  try {
    if ((await stat(folder)).isDirectory()) return;
  } catch (error) {
    if (!isMissing(error)) throw storageError("read", folder, error);
  }
  throw new SluiceError("config_invalid", `there is no folder ${JSON.stringify(folder)} to copy from; check the path`);
}
