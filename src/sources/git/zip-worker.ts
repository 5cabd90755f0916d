import { hash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { MadeZip } from "../../core/ports.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { createHashedZip } from "../../protocol/zip/index.ts";
import { moduleFiles, unpackFiles } from "./module-files.ts";
import type { PackedFiles } from "./module-tree.ts";
import { readTar } from "./tar.ts";

export interface ZipOrder {
  readonly modulePath: ModulePath;
  readonly version: Version;
  readonly dir: string;
  readonly license: Uint8Array | undefined;
}

export type ZipJob =
  /** Modules of a tar file, each with the file to be written. */
  | { readonly archive: string; readonly orders: readonly (ZipOrder & { readonly target: string })[] }
  /** The files of one module, whose zip is answered as it is. */
  | { readonly packed: PackedFiles; readonly orders: readonly [ZipOrder] };

export type ZipAnswer =
  | { readonly kind: "made"; readonly size: number; readonly made: MadeZip; readonly zip?: Uint8Array<ArrayBuffer> }
  /** `refused`: no module zip can be made of the files, in go's words. `failed`: anything else. */
  | { readonly kind: "refused" | "failed"; readonly message: string; readonly code?: string | undefined };

/** In the order of the orders. */
export type ZipAnswers = readonly ZipAnswer[];

parentPort?.on("message", (job: ZipJob) => {
  const answers = "packed" in job ? job.orders.map((order) => zipOfFiles(job.packed, order)) : zipsOfArchive(job);
  const zips = answers.flatMap((answer) =>
    answer.kind === "made" && answer.zip !== undefined ? [answer.zip.buffer] : [],
  );
  parentPort?.postMessage(answers, zips);
});

function zipsOfArchive({ archive, orders }: Extract<ZipJob, { archive: string }>): ZipAnswers {
  try {
    const files = [...readTar(readFileSync(archive))];
    return orders.map((order) =>
      answerOf(() => {
        const { zip, h1 } = createHashedZip(moduleFiles(files, order), order);
        writeFileSync(order.target, zip);
        return { kind: "made", size: zip.length, made: { h1, sha256: hash("sha256", zip, "hex") } };
      }),
    );
  } catch (error) {
    return orders.map(() => failed(error));
  }
}

function zipOfFiles(packed: PackedFiles, order: ZipOrder): ZipAnswer {
  return answerOf(() => {
    const { zip: made, h1 } = createHashedZip(unpackFiles(packed, order), order);
    // A copy of its own: a small one shares its buffer with others.
    const zip = new Uint8Array(made);
    return { kind: "made", size: zip.length, made: { h1, sha256: hash("sha256", zip, "hex") }, zip };
  });
}

function answerOf(make: () => ZipAnswer): ZipAnswer {
  try {
    return make();
  } catch (error) {
    if (error instanceof ProtocolError) return { kind: "refused", message: error.message };
    return failed(error);
  }
}

function failed(error: unknown): ZipAnswer {
  const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
  return { kind: "failed", message: error instanceof Error ? error.message : String(error), code };
}
