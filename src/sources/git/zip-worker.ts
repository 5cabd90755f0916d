import { readFileSync, writeFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { createZip } from "../../protocol/zip/index.ts";
import { moduleFiles } from "./module-files.ts";
import { readTar } from "./tar.ts";

export interface ZipJob {
  readonly archive: string;
  readonly target: string;
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly dir: string;
  readonly license: Uint8Array | undefined;
}

export type ZipAnswer =
  | { readonly size: number }
  /** `refused`: no module zip can be made of the files, in go's words. `failed`: anything else. */
  | { readonly kind: "refused" | "failed"; readonly message: string; readonly code?: string | undefined };

parentPort?.on("message", (job: ZipJob) => parentPort?.postMessage(makeZip(job), []));

function makeZip({ archive, target, modulePath, version, dir, license }: ZipJob): ZipAnswer {
  try {
    const zip = createZip(moduleFiles(readTar(readFileSync(archive)), { dir, license }), { modulePath, version });
    writeFileSync(target, zip);
    return { size: zip.length };
  } catch (error) {
    if (error instanceof ProtocolError) return { kind: "refused", message: error.message };
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    return { kind: "failed", message: error instanceof Error ? error.message : String(error), code };
  }
}
