import { parentPort } from "node:worker_threads";
import { isSluiceError, type ErrorCode, type SluiceError } from "../core/errors.ts";
import type { BlobContent } from "../core/ports.ts";
import type { ZipModule } from "../protocol/zip/index.ts";
import { verifyHere, type VerifiedZip } from "./zip-verification.ts";

/** What a thread is asked, one at a time. */
export interface VerifyRequest {
  readonly content: BlobContent;
  readonly module: ZipModule;
}

/** What it answers: errors are no instances of their class any more on the other side. */
export type VerifyAnswer =
  | { readonly verified: VerifiedZip }
  | {
      readonly failed: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly details: SluiceError["details"];
        readonly retryAfterSeconds: number | undefined;
      };
    };

parentPort?.on("message", (request: VerifyRequest) => void answer(request));

/** Whatever is no SluiceError is a bug. It ends the thread, and the pool tells. */
async function answer({ content, module }: VerifyRequest): Promise<void> {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
  parentPort?.postMessage(await verifyHere(content, module).then(succeeded, failed));
}

function succeeded(verified: VerifiedZip): VerifyAnswer {
  return { verified };
}

function failed(error: unknown): VerifyAnswer {
  if (!isSluiceError(error)) throw error;
  const { code, message, details, retryAfterSeconds } = error;
  return { failed: { code, message, details, retryAfterSeconds } };
}
