/** Where a value came from. */
export type Origin =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly file: string; readonly line: number | undefined }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "flag"; readonly name: string };

/** As a person names it: `sluice.toml:3`, `env SLUICE_LISTEN`, `--listen` or `default`. */
export function formatOrigin(origin: Origin): string {
  if (origin.kind === "default") return "default";
  if (origin.kind === "env") return `env ${origin.name}`;
  if (origin.kind === "flag") return `--${origin.name}`;
  return origin.line === undefined ? origin.file : `${origin.file}:${origin.line}`;
}
