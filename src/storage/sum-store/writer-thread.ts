import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../core/clock.ts";
import { type ErrorCode, isSluiceError, type SluiceError } from "../../core/errors.ts";
import type { ForkEvidence, LogRecord, NewLogRecord, SignedTree, SumStore } from "../../core/ports.ts";
import { openSqliteSumStore } from "./sqlite.ts";

/** What the thread is asked. Each is answered under its number, in any order; after `close` it ends. */
export type SumWrite =
  | { readonly kind: "setTree"; readonly database: string; readonly tree: SignedTree; readonly previousSize: number }
  | { readonly kind: "addFork"; readonly database: string; readonly evidence: ForkEvidence }
  | { readonly kind: "forgetTree"; readonly database: string }
  | { readonly kind: "appendRecords"; readonly log: string; readonly records: readonly NewLogRecord[] }
  | { readonly kind: "check" };

export interface NumberedWrite {
  readonly number: number;
  readonly write: SumWrite | { readonly kind: "close" };
}

/** Errors are no instances of their class any more on the other side. */
export interface WriteAnswer {
  readonly number: number;
  /** Of `setTree`. */
  readonly isKept?: boolean;
  /** Of `appendRecords`. */
  readonly records?: LogRecord[];
  readonly failed?: {
    readonly code: ErrorCode;
    readonly message: string;
    readonly details: SluiceError["details"];
    readonly retryAfterSeconds: number | undefined;
  };
}

export interface WriterOptions {
  readonly file: string;
}

let opening: Promise<SumStore> | undefined;

parentPort?.on("message", (asked: NumberedWrite) => void answer(asked));

/** Whatever is no SluiceError is a bug. It ends the thread, and the other side tells. */
async function answer({ number, write }: NumberedWrite): Promise<void> {
  if (write.kind === "close") return end();
  const answered = await open()
    .then((store) => perform(store, write))
    .catch(failed);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  parentPort?.postMessage({ number, ...answered } satisfies WriteAnswer);
}

function open(): Promise<SumStore> {
  const { file }: WriterOptions = workerData;
  opening ??= openSqliteSumStore({ file, clock: systemClock }).catch((error: unknown) => {
    opening = undefined;
    throw error;
  });
  return opening;
}

async function perform(store: SumStore, write: SumWrite): Promise<Omit<WriteAnswer, "number">> {
  if (write.kind === "setTree") {
    return { isKept: await store.setTree(write.database, write.tree, write.previousSize) };
  }
  if (write.kind === "appendRecords") return { records: await store.appendRecords(write.log, write.records) };
  if (write.kind === "addFork") await store.addFork(write.database, write.evidence);
  else if (write.kind === "forgetTree") await store.forgetTree(write.database);
  else await store.check();
  return {};
}

async function end(): Promise<void> {
  await (await opening)?.close();
  parentPort?.close();
}

function failed(error: unknown): Omit<WriteAnswer, "number"> {
  if (!isSluiceError(error)) throw error;
  const { code, message, details, retryAfterSeconds } = error;
  return { failed: { code, message, details, retryAfterSeconds } };
}
