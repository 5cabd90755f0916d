import { isSluiceError, type SluiceError } from "../core/errors.ts";
import type { Events } from "../core/events.ts";

/** Tells operators that a medium failed. */
export function tellFailure(events: Events, store: string, error: SluiceError): void {
  const operation = String(error.details["operation"] ?? "read or write");
  events.emit({ type: "store_failed", store, operation, error });
}

/** For work that an answer does not depend on: a failing medium is told, and the result is undefined. */
export async function attempt<T>(events: Events, store: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!isSluiceError(error, "storage_failed")) throw error;
    tellFailure(events, store, error);
    return undefined;
  }
}
