import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { errorCode, lacksHardLinks } from "./storage-error.ts";

/**
 * Tells a data folder from every other one, wherever it is mounted. Made at the first use, with the folder where that is missing;
 * fails with what the disk fails with.
 */
export async function openStoreId(dataDir: string): Promise<string> {
  const file = path.join(dataDir, "store-id");
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  await mkdir(dataDir, { recursive: true });
  const draft = `${file}-${randomUUID()}`;
  try {
    // Whole when others see it.
    await writeFile(draft, `${randomUUID()}\n`);
    await link(draft, file).catch(async (error: unknown) => {
      // Where there are no hard links it is written in place.
      if (lacksHardLinks(error)) await writeFile(file, `${randomUUID()}\n`, { flag: "wx" });
      else throw error;
    });
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return (await readFile(file, "utf8")).trim();
}
