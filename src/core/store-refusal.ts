import { isSluiceError, SluiceError } from "./errors.ts";

const reason = "reserve";

/** A store that can be written, and does not take files, so that some space is left (`storage_failed`). */
export function storeRefusal(store: string, why: string): SluiceError {
  return new SluiceError("storage_failed", `cannot write ${JSON.stringify(store)}: ${why}`, {
    details: { operation: "write", reason },
    retryAfterSeconds: 10,
  });
}

/** Nothing failed: the file was passed on, and not kept. */
export function isStoreRefusal(error: unknown): error is SluiceError {
  return isSluiceError(error, "storage_failed") && error.details["reason"] === reason;
}
