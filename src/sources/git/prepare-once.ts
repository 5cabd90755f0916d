import { SluiceError } from "../../core/errors.ts";

/** Does the work at the first call, and again at the next one only when it failed. */
export function prepareOnce(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () =>
    (done ??= work().catch((error: unknown) => {
      done = undefined;
      throw error;
    }));
}

/** Does the work. What Node says of a disk is `storage_failed` then; `what` is what could not be done. */
export async function onDisk<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (error instanceof SluiceError || !/^E[A-Z0-9]+$/.test(code)) throw error;
    throw new SluiceError("storage_failed", `${what}: ${code}`, { cause: error, retryAfterSeconds: 10 });
  }
}
