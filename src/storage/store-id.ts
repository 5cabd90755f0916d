import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

/** Tells a data folder from every other one, wherever it is mounted. Made at the first use; fails with what the disk fails with. */
export async function openStoreId(dataDir: string): Promise<string> {
  const file = path.join(dataDir, "store-id");
  try {
    await writeFile(file, `${randomUUID()}\n`, { flag: "wx" });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  return (await readFile(file, "utf8")).trim();
}
