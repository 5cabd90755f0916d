import type { ModulePath } from "../../protocol/brand.ts";
import { blobKey, type FileRequest } from "../../protocol/goproxy/index.ts";
import { matchPrefixPatterns } from "../../protocol/module/index.ts";
import { isSluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import { isFileRequest, requestOf } from "../layout.ts";
import { checkStored, type CheckStoredOptions } from "./check-stored.ts";
import { setAside } from "./set-aside.ts";

export interface ScrubOptions extends Omit<CheckStoredOptions, "spend"> {
  readonly events: Events;
  /** As in GOPRIVATE: whose files are read. `""` is all. */
  readonly patterns: string;
  /** Files at the same time. */
  readonly concurrency: number;
  /** Broken files stay where they are. */
  readonly dryRun: boolean;
  /** Brings a file again that was just taken away. Without it, whoever asks for it next does. Fails with why it cannot. */
  readonly heal?: ((request: FileRequest) => Promise<void>) | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

export interface BrokenStoredFile {
  readonly key: string;
  readonly reason: string;
  readonly outcome:
    | { readonly kind: "left" }
    | { readonly kind: "set aside" }
    | { readonly kind: "healed" }
    | { readonly kind: "not healed"; readonly reason: string };
}

export interface ScrubReport {
  readonly files: number;
  readonly bytes: number;
  readonly broken: readonly BrokenStoredFile[];
}

/** Reads every file of a store once, and takes away what is broken. Fails with `storage_failed`. */
export async function scrubStore(options: ScrubOptions): Promise<ScrubReport> {
  const requests: FileRequest[] = [];
  for await (const key of options.store.blobs.list("")) {
    const request = requestOf(key);
    if (request !== undefined && isFileRequest(request) && isMeant(request.modulePath, options)) requests.push(request);
  }
  const broken: BrokenStoredFile[] = [];
  let [files, bytes, done] = [0, 0, 0];
  let failure: unknown;
  const queue = requests.values();
  const spend = (): Promise<void> => Promise.resolve();

  async function work(): Promise<void> {
    for (const request of queue) {
      if (failure !== undefined) return;
      const found = await checkStored(request, { ...options, spend });
      options.onProgress(++done, requests.length);
      if (found.state === "gone") continue;
      files += 1;
      if (found.state === "sound") bytes += found.size;
      else broken.push({ key: blobKey(request), reason: found.reason, outcome: await treat(request, found, options) });
    }
  }
  const fail = (error: unknown): void => void (failure ??= error);
  await Promise.all(Array.from({ length: options.concurrency }, () => work().catch(fail)));
  if (failure !== undefined) throw failure;
  return { files, bytes, broken };
}

function isMeant(modulePath: ModulePath, { patterns }: ScrubOptions): boolean {
  return patterns === "" || matchPrefixPatterns(patterns, modulePath);
}

async function treat(
  request: FileRequest,
  found: { readonly reason: string; readonly revision: string | undefined },
  options: ScrubOptions,
): Promise<BrokenStoredFile["outcome"]> {
  if (options.dryRun) return { kind: "left" };
  await setAside(request, found, options);
  if (options.heal === undefined) return { kind: "set aside" };
  try {
    await options.heal(request);
    return { kind: "healed" };
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    return { kind: "not healed", reason: error.message };
  }
}
