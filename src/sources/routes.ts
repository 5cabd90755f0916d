import type { Source } from "../core/ports.ts";
import type { ModulePath } from "../protocol/brand.ts";
import { matchPrefixPatterns } from "../protocol/module/index.ts";

import type { ChainEntry } from "./chain-spec.ts";
import type { PrivateRules } from "./private.ts";

export interface Route {
  /** In the grammar of GOPRIVATE. */
  readonly patterns: string;
  readonly source: Source;
}

/** The first that matches. */
export function routeOf<T extends { readonly patterns: string }>(
  modulePath: ModulePath,
  routes: readonly T[],
): T | undefined {
  return routes.find(({ patterns }) => matchPrefixPatterns(patterns, modulePath));
}

/** Whether this module is asked of an upstream on the network, and of that first. */
export function isRemoteFirst(
  modulePath: ModulePath,
  {
    main,
    routes,
    privateRules,
  }: {
    readonly main: readonly ChainEntry[];
    readonly routes: readonly { readonly patterns: string; readonly entries: readonly ChainEntry[] }[];
    readonly privateRules: PrivateRules;
  },
): boolean {
  if (privateRules.matches(modulePath)) return false;
  const entries = routeOf(modulePath, routes)?.entries ?? main;
  return entries[0]?.kind === "http";
}

/** Modules by their path from the first route that matches, all others from `main`, whose name it has. All stay the caller's. */
export function createRoutes(routes: readonly Route[], main: Source): Source {
  return {
    name: main.name,
    fetch(request, receive, context) {
      const route = routeOf(request.modulePath, routes);
      return (route?.source ?? main).fetch(request, receive, context);
    },
    async close() {},
  };
}
