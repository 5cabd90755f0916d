import type { ModuleRequest } from "../protocol/goproxy/index.ts";

const mebibyte = 1024 * 1024;

/** Bytes a file of each kind may have: go's own limits for zip and go.mod (SPEC §5.3), and what no real list or `.info` reaches. */
export const defaultMaxBytes: Readonly<Record<ModuleRequest["kind"], number>> = {
  list: 16 * mebibyte,
  latest: mebibyte,
  query: mebibyte,
  info: mebibyte,
  mod: 16 * mebibyte,
  zip: 500 * mebibyte,
};
