import type { Source } from "../core/ports.ts";
import { matchPrefixPatterns } from "../protocol/module/index.ts";

export interface Route {
  /** In the grammar of GOPRIVATE. */
  readonly patterns: string;
  readonly source: Source;
}

/** Modules by their path from the first route that matches, all others from `main`, whose name it has. All stay the caller's. */
export function createRoutes(routes: readonly Route[], main: Source): Source {
  return {
    name: main.name,
    fetch(request, receive, context) {
      const route = routes.find(({ patterns }) => matchPrefixPatterns(patterns, request.modulePath));
      return (route?.source ?? main).fetch(request, receive, context);
    },
    async close() {},
  };
}
