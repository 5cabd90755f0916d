import type { Version } from "../protocol/brand.ts";
import {
  blobKey,
  type FileRequest,
  nextLatestStep,
  parseList,
  type RecordRequest,
  type VersionList,
} from "../protocol/goproxy/index.ts";
import { parseFrom, readBody } from "./body.ts";
import { isSluiceError, SluiceError } from "./errors.ts";
import type { FetchContext, Source } from "./ports.ts";

export interface DeriveLatestOptions {
  readonly source: Source;
  readonly context: FetchContext;
  /** From the store, else fetched and kept. */
  readonly readFile: (request: FileRequest) => Promise<Uint8Array>;
}

export const maxListBytes = 16 * 1024 * 1024;

/**
 * Makes `@latest` for a module whose source has none, from its list and go.mod files, as the go command would (SPEC §3.9, §1.4).
 * The list is asked for anew: what is stored of it lacks the pseudo-versions that matter here.
 */
export async function deriveLatest(
  request: Extract<RecordRequest, { readonly kind: "latest" }>,
  { source, context, readFile }: DeriveLatestOptions,
): Promise<{ readonly bytes: Uint8Array; readonly source: string }> {
  const { modulePath } = request;
  const { list, from } = await source.fetch(
    { kind: "list", modulePath },
    async (response): Promise<{ list: VersionList; from: string }> => {
      const sent = await readBody(response, maxListBytes);
      return {
        list: parseFrom(response.source, blobKey({ kind: "list", modulePath }), () => parseList(sent)),
        from: response.source,
      };
    },
    context,
  );
  const goMods = new Map<Version, Uint8Array | undefined>();
  let step = nextLatestStep(modulePath, list, goMods);
  while (step.kind === "read_go_mod") {
    goMods.set(
      step.version,
      await readFile({ kind: "mod", modulePath, version: step.version }).catch(undefinedIfRefused),
    );
    step = nextLatestStep(modulePath, list, goMods);
  }
  if (step.kind === "none") throw new SluiceError("not_found", `not found: ${modulePath}@latest: ${step.reason}`);
  return { bytes: await readFile({ kind: "info", modulePath, version: step.version }), source: from };
}

/** The go command goes on without a go.mod it cannot have. One that cannot be had just now is another matter. */
function undefinedIfRefused(error: unknown): undefined {
  if (isSluiceError(error, "not_found", "upstream_refused", "integrity")) return undefined;
  throw error;
}
