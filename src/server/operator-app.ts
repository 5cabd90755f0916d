import { Hono } from "hono";
import type { Registry } from "prom-client";

export interface OperatorAppOptions {
  readonly registry: Registry;
  /** Throws, with a message for the operator, when this node should get no traffic. */
  readonly checkReady: () => Promise<void>;
  readonly version: string;
  /** The address to paste as GOPROXY. */
  readonly publicUrl: () => string;
}

/** Everything that is not the module protocol: what operators, load balancers and people with a browser ask. */
export function createOperatorApp(options: OperatorAppOptions): Hono {
  const app = new Hono();
  app.get("/", (context) =>
    context.text(
      `Sluice ${options.version}, a Go module proxy.\n\n  export GOPROXY=${options.publicUrl()}\n\nHealth: /healthz, /readyz. Metrics: /metrics.\n`,
    ),
  );
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", async (context) => {
    try {
      await options.checkReady();
      return context.text("ready\n");
    } catch (error) {
      return context.text(`not ready: ${error instanceof Error ? error.message : String(error)}\n`, 503, {
        "retry-after": "5",
      });
    }
  });
  app.get("/metrics", async (context) =>
    context.body(await options.registry.metrics(), 200, { "content-type": options.registry.contentType }),
  );
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
