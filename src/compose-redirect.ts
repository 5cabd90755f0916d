import type { Config } from "./config/index.ts";
import { blobKey, type ModuleRequest } from "./protocol/goproxy/index.ts";
import type { Redirect } from "./server/protocol-handler.ts";
import { createPrivateRules } from "./sources/private.ts";
import type { OpenedStore } from "./storage/data-folder.ts";

/** What clients get from the bucket itself: large zips that were verified here. Those of private modules have no URL that somebody could pass on. */
export function composeRedirect(config: Config, { signedUrl }: Pick<OpenedStore, "signedUrl">): Redirect | undefined {
  const { sharedBucket, upstream, privateModules } = config;
  const minBytes = sharedBucket?.redirectFromBytes;
  if (minBytes === undefined || signedUrl === undefined) return undefined;
  const patterns = [upstream.private, privateModules.patterns].filter((list) => list !== "");
  const rules = createPrivateRules(patterns.join(","));
  return (request, { size }) => {
    if (size === undefined || !isRedirected(config, { request, size })) return undefined;
    return rules.matches(request.modulePath) ? undefined : () => signedUrl({ key: blobKey(request), size });
  };
}

/** By its size alone. */
export function isRedirected(
  { sharedBucket }: Config,
  { request, size }: { readonly request: ModuleRequest; readonly size: number },
): boolean {
  return request.kind === "zip" && size >= (sharedBucket?.redirectFromBytes ?? Number.POSITIVE_INFINITY);
}
