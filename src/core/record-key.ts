import { ProtocolError } from "../protocol/error.ts";
import { parseRequest } from "../protocol/goproxy/index.ts";
import type { BlobKey } from "./ports.ts";

/** Whether what stands under this key changes with time: `list`, `@latest`, or what a query was answered. */
export function isRecordKey(key: BlobKey): boolean {
  try {
    const { kind } = parseRequest(`/${key}`);
    return kind === "list" || kind === "latest" || kind === "query";
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}
