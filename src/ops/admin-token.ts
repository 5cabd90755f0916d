import { randomBytes } from "node:crypto";
import { link, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SluiceError } from "../core/errors.ts";
import { Secret } from "../core/secret.ts";

/** The token that Sluice makes where the configuration has none. */
export function adminTokenFile(dataDir: string): string {
  return join(dataDir, "admin.token");
}

/** Undefined where there is none yet. Fails with `config_invalid` when it cannot be used. */
export async function readAdminToken(dataDir: string): Promise<Secret | undefined> {
  const file = adminTokenFile(dataDir);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return undefined;
    throw new SluiceError(
      "config_invalid",
      code === "EACCES"
        ? `${file} may be read by the user of Sluice only; run the command as that user, or give the token in SLUICE_ADMIN_TOKEN`
        : `${file} cannot be read (${String(code ?? error)})`,
      { cause: error },
    );
  }
  const token = text.trim();
  if (/^[\x21-\x7e]{16,}$/.test(token)) return new Secret(token);
  throw new SluiceError("config_invalid", `${file} holds no token; remove it, and start Sluice again to have it made`);
}

/** The one that is kept, or a new one. Of several processes that start together, one makes it for all. Fails as the file system does. */
export async function openAdminToken(dataDir: string): Promise<Secret> {
  const kept = await readAdminToken(dataDir);
  if (kept !== undefined) return kept;
  const file = adminTokenFile(dataDir);
  const own = `${file}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(own, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600, flag: "wx", flush: true });
    await link(own, file).catch((error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    });
  } finally {
    await unlink(own).catch(() => undefined);
  }
  return (await readAdminToken(dataDir)) ?? openAdminToken(dataDir);
}
