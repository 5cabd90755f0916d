import { SluiceError } from "../../core/errors.ts";
import type { BlobKey } from "../../core/ports.ts";

/**
 * Refuses what would leave the store or name one blob in two ways. A backslash separates path elements on Windows, and a lone
 * surrogate turns into the same U+FFFD as any other on its way to the file system.
 */
export function checkKey(key: BlobKey): void {
  if (key !== "" && key.isWellFormed() && !/[\0\\]/.test(key) && key.split("/").every(isCleanElement)) return;
  throw new SluiceError("malformed_request", `${JSON.stringify(key)} is not a clean, relative key`);
}

/** A prefix is empty or whole path elements. */
export function checkPrefix(prefix: string): void {
  if (prefix !== "") checkKey(prefix);
}

function isCleanElement(element: string): boolean {
  return element !== "" && element !== "." && element !== "..";
}
