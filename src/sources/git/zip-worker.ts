import { readFileSync, writeFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { createZip, type SourceFile } from "../../protocol/zip/index.ts";
import { moduleFiles } from "./module-files.ts";
import { readTar } from "./tar.ts";

/** One module of an archive. */
export interface ZipOrder {
  /** The file to be written. */
  readonly target: string;
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly dir: string;
  readonly license: Uint8Array | undefined;
}

export interface ZipJob {
  /** A tar file. */
  readonly archive: string;
  readonly orders: readonly ZipOrder[];
}

export type ZipAnswer =
  | { readonly kind: "made"; readonly size: number }
  /** `refused`: no module zip can be made of the files, in go's words. `failed`: anything else. */
  | { readonly kind: "refused" | "failed"; readonly message: string; readonly code?: string | undefined };

/** In the order of the orders. */
export type ZipAnswers = readonly ZipAnswer[];

parentPort?.on("message", (job: ZipJob) => parentPort?.postMessage(makeZips(job), []));

function makeZips({ archive, orders }: ZipJob): ZipAnswers {
  try {
    const files = [...readTar(readFileSync(archive))];
    return orders.map((order) => makeZip(files, order));
  } catch (error) {
    return orders.map(() => failed(error));
  }
}

function makeZip(files: readonly SourceFile[], { target, modulePath, version, dir, license }: ZipOrder): ZipAnswer {
  try {
    const zip = createZip(moduleFiles(files, { dir, license }), { modulePath, version });
    writeFileSync(target, zip);
    return { kind: "made", size: zip.length };
  } catch (error) {
    if (error instanceof ProtocolError) return { kind: "refused", message: error.message };
    return failed(error);
  }
}

function failed(error: unknown): ZipAnswer {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  return { kind: "failed", message: error instanceof Error ? error.message : String(error), code };
}
