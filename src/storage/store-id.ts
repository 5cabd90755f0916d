import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

/**
 * Tells a data folder from every other one, wherever it is mounted. Made at the first use, with the folder where that is missing;
 * fails with what the disk fails with.
 */
export async function openStoreId(dataDir: string): Promise<string> {
  const file = path.join(dataDir, "store-id");
  const known = await readFile(file, "utf8").catch(ignoring("ENOENT"));
  if (known !== undefined) return known.trim();
  await mkdir(dataDir, { recursive: true });
  const draft = `${file}-${randomUUID()}`;
  try {
    // Whole when others see it.
    await writeFile(draft, `${randomUUID()}\n`);
    await link(draft, file).catch(ignoring("EEXIST"));
  } finally {
    await rm(draft, { force: true });
  }
  return (await readFile(file, "utf8")).trim();
}

function ignoring(code: string): (error: unknown) => undefined {
  return (error) => {
    if (!(error instanceof Error && "code" in error && error.code === code)) throw error;
    return undefined;
  };
}
