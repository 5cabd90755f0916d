import { rm } from "node:fs/promises";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { FileRequest } from "../../protocol/goproxy/index.ts";
import { blobKey } from "../../protocol/goproxy/index.ts";
import { BrokenFile } from "../broken-file.ts";
import { type CheckedFile, type CheckOptions, readChecked, UnreadableFile } from "./checked-file.ts";
import { copyRecords } from "./copy-records.ts";
import { type ListedFile, type ListedVersion, takeInventory } from "./inventory.ts";
import { compareStanding } from "./standing.ts";
import type { Target } from "./target.ts";

export interface CopyOptions extends Omit<CheckOptions, "stagingFile"> {
  readonly to: Target;
  /** As in GOPRIVATE: which modules are copied. `""` is all. */
  readonly patterns: string;
  /** Versions at the same time. */
  readonly concurrency: number;
  /** Only looks what would be copied. Files are not read, so broken ones are not found. */
  readonly dryRun: boolean;
  readonly onProgress: (done: number, total: number) => void;
}

/** Why a version was not copied. */
export interface CopyProblem {
  readonly kind: "broken" | "conflict" | "unreadable";
  readonly key: string;
  readonly reason: string;
}

export interface CopyReport {
  /** Of all versions that the place has. */
  readonly versions: number;
  readonly copied: { readonly versions: number; readonly files: number; readonly bytes: number };
  /** Versions of which the target had everything. */
  readonly there: number;
  /** Lists and the like. */
  readonly records: number;
  /** Files that were copied and that no checksum database has confirmed. */
  readonly unverified: number;
  readonly problems: readonly CopyProblem[];
}

/** So many versions in a row that cannot be read mean that the place cannot be read. */
const maxUnreadable = 20;

/**
 * Copies the versions of a place that the target does not have: each is checked as if it were adopted, a version that is broken or of which the
 * target has other content is reported and left alone as a whole. A copy that was killed is gone on with by beginning it again.
 * Fails with `storage_failed` when the target cannot be written or the place cannot be read at all.
 */
export async function copyModules(options: CopyOptions): Promise<CopyReport> {
  const { versions, records } = await takeInventory(options.from, options.patterns);
  const count = { versions: 0, files: 0, bytes: 0 };
  const problems: CopyProblem[] = [];
  let [done, there, unverified, unreadable] = [0, 0, 0, 0];
  let failure: unknown;
  const queue = versions.values();

  async function work(): Promise<void> {
    for (const version of queue) {
      if (failure !== undefined) return;
      const outcome = await copyVersion(version, options);
      options.onProgress(++done, versions.length);
      unreadable = "kind" in outcome && outcome.kind === "unreadable" ? unreadable + 1 : 0;
      if ("kind" in outcome) {
        problems.push(outcome);
        if (unreadable >= maxUnreadable) throw lost(options.from.name, outcome);
      } else if (outcome.files === 0) there += 1;
      else {
        count.versions += 1;
        count.files += outcome.files;
        count.bytes += outcome.bytes;
        unverified += outcome.unverified;
      }
    }
  }
  const fail = (error: unknown): void => void (failure ??= error);
  await Promise.all(Array.from({ length: options.concurrency }, () => work().catch(fail)));
  if (failure !== undefined) throw failure;
  const copiedRecords = await copyRecords(records, versions, options);
  return { versions: versions.length, copied: count, there, records: copiedRecords, unverified, problems };
}

interface Copied {
  readonly files: number;
  readonly bytes: number;
  readonly unverified: number;
}

async function copyVersion({ files }: ListedVersion, options: CopyOptions): Promise<Copied | CopyProblem> {
  let current: ListedFile<FileRequest> | undefined;
  const checked: CheckedFile[] = [];
  try {
    const missing: ListedFile<FileRequest>[] = [];
    for (current of files) {
      const standing = await compareStanding(current, options);
      if (standing.state === "other") return problem("conflict", current.request, standing.reason);
      if (standing.state !== "same") missing.push(current);
    }
    if (options.dryRun) return { files: missing.length, bytes: sum(missing.map(({ size }) => size)), unverified: 0 };
    // Nothing of a version is kept before all of it is good.
    for (current of missing) {
      checked.push(await readChecked(current, { ...options, stagingFile: () => options.to.store.stagingFile() }));
    }
    return await keepAll(checked, options);
  } catch (error) {
    if (current === undefined) throw error;
    if (error instanceof BrokenFile) return problem("broken", current.request, error.message);
    if (error instanceof UnreadableFile) return problem("unreadable", current.request, error.message);
    throw error;
  } finally {
    for (const { content } of checked) if ("file" in content) await rm(content.file, { force: true });
  }
}

async function keepAll(checked: readonly CheckedFile[], { to }: CopyOptions): Promise<Copied | CopyProblem> {
  let [files, bytes, unverified] = [0, 0, 0];
  for (const { request, content, facts } of checked) {
    try {
      const kept = await to.store.keep(request, content, facts);
      const isOurs = kept.sha256 === facts.sha256;
      if (!isOurs && (facts.h1 === undefined || kept.h1 !== facts.h1)) {
        return problem("conflict", request, `its h1 is ${facts.h1}, and that of the target is ${kept.h1}`);
      }
      if (!isOurs) continue;
      files += 1;
      bytes += facts.size;
      if (facts.unverified !== undefined) unverified += 1;
    } catch (error) {
      if (isSluiceError(error, "integrity")) return problem("conflict", request, error.message);
      throw error;
    }
  }
  return { files, bytes, unverified };
}

function problem(kind: CopyProblem["kind"], request: FileRequest, reason: string): CopyProblem {
  return { kind, key: blobKey(request), reason };
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

function lost(name: string, { reason }: CopyProblem): SluiceError {
  return new SluiceError(
    "storage_failed",
    `${name} cannot be read any more: ${reason}. What was copied stays; begin the copy again to go on`,
    { details: { mayMove: false } },
  );
}
