import type { DrillStatus } from "../core/drill.ts";
import { SluiceError } from "../core/errors.ts";
import type { OperatorHono } from "./operator-api.ts";

/** Faults on purpose. Fail with `drill_refused` where there are none, and with `bad_request` for what is no drill. */
export interface DrillActions {
  start(wanted: { readonly name: string; readonly seconds: number }): DrillStatus;
  stop(): DrillStatus;
  status(): DrillStatus;
}

const defaultSeconds = 60;

/** `/-/drill`: GET what there is and how the last one went, POST `{"name", "seconds"}`, DELETE the one that runs. */
export function addDrillRoutes(
  api: OperatorHono,
  actions: DrillActions,
  readJson: (request: { text(): Promise<string> }) => Promise<unknown>,
): void {
  api.get("/drill", (context) => context.json(actions.status()));
  api.post("/drill", async (context) => context.json(actions.start(parseDrill(await readJson(context.req)))));
  api.delete("/drill", (context) => context.json(actions.stop()));
}

function parseDrill(body: unknown): { readonly name: string; readonly seconds: number } {
  const fields = typeof body === "object" && body !== null ? new Map<string, unknown>(Object.entries(body)) : new Map();
  for (const field of fields.keys()) {
    if (field !== "name" && field !== "seconds") {
      throw new SluiceError("bad_request", `there is no field ${JSON.stringify(field)}; the fields are name, seconds`);
    }
  }
  const name: unknown = fields.get("name");
  const seconds: unknown = fields.get("seconds") ?? defaultSeconds;
  if (typeof name !== "string") {
    throw new SluiceError("bad_request", 'name is missing; write {"name": "upstream-down", "seconds": 60}');
  }
  if (typeof seconds !== "number") throw new SluiceError("bad_request", "seconds is not a number");
  return { name, seconds };
}
