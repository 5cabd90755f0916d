import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { formatReadiness, type Readiness } from "./readiness.ts";
import { createOperatorApi, type OperatorApiOptions, type OperatorHono } from "./operator-api.ts";
import type { RequestHandler } from "./exchange.ts";

export interface OperatorAppOptions {
  readonly registry: { readonly contentType: string; metrics(): Promise<string> };
  readonly readiness: () => Promise<Readiness>;
  /** What is served below `/-/`. */
  readonly api: OperatorApiOptions;
  readonly version: string;
  /** The address to paste as GOPROXY. */
  readonly publicUrl: () => string;
}

/** Everything that is not the module protocol: what operators, load balancers and people with a browser ask. */
export function createOperatorHandler(options: OperatorAppOptions): RequestHandler {
  // HTTP/1.0 requests need no Host, and health checks of load balancers come without.
  return getRequestListener(createOperatorApp(options).fetch, { hostname: "localhost" });
}

function createOperatorApp(options: OperatorAppOptions): OperatorHono {
  const app: OperatorHono = new Hono();
  app.get("/", (context) =>
    context.text(
      `Sluice ${options.version}, a Go module proxy.\n\n  export GOPROXY=${options.publicUrl()}\n\nHealth: /healthz, /readyz. Metrics: /metrics.\n`,
    ),
  );
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", async (context) => {
    const readiness = await options.readiness();
    const { isReady, problem, parts } = readiness;
    const status = isReady ? 200 : 503;
    context.header("cache-control", "no-store");
    if (!isReady) context.header("retry-after", "5");
    const isVerbose = context.req.query("verbose") !== undefined;
    if (isVerbose && wantsJson(context.req.header("accept"))) return context.json({ isReady, problem, parts }, status);
    if (isVerbose) return context.text(formatReadiness(readiness), status);
    return context.text(isReady ? "ready\n" : `not ready: ${problem}\n`, status);
  });
  app.get("/metrics", async (context) =>
    context.body(await options.registry.metrics(), 200, { "content-type": options.registry.contentType }),
  );
  app.route("/-", createOperatorApi(options.api));
  app.all("*", (context) =>
    context.text(
      context.req.method === "GET" || context.req.method === "HEAD"
        ? "not found: this is a Go module proxy; module URLs look like /example.com/mod/@v/list\n"
        : `${context.req.method} is not answered here\n`,
      context.req.method === "GET" || context.req.method === "HEAD" ? 404 : 405,
    ),
  );
  return app;
}

function wantsJson(accept: string | undefined): boolean {
  return accept?.includes("application/json") === true;
}
