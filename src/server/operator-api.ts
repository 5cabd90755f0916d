import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createHash, timingSafeEqual } from "node:crypto";
import { errorTable, isSluiceError, SluiceError } from "../core/errors.ts";
import type { PurgeSelection } from "../core/fleet.ts";
import type { PartHealth } from "../core/health.ts";
import type { Incidents } from "../core/incident.ts";
import type { Secret } from "../core/secret.ts";
import type { ClientAddress } from "./client-address.ts";
import { addDrillRoutes, type DrillActions } from "./drill-api.ts";
import { fieldsOf } from "./operator-body.ts";
import { parsePurge } from "./purge-request.ts";

/** What operators may do to a node that runs. */
export interface OperatorActions {
  purge(selection: PurgeSelection): Promise<PurgeOutcome>;
  turnOffline(isOffline: boolean): OfflineOutcome;
  /** Has the configuration read again. */
  reload(): Promise<ReloadOutcome>;
  status(): Promise<NodeStatus>;
  readonly drills: DrillActions;
}

export interface PurgeOutcome {
  /** What was meant, for people. */
  readonly what: string;
  /** So many things are not remembered as missing any more. */
  readonly missing: number;
  /** So many ready answers are not given again. */
  readonly ready: number;
  /** So many stored lists and answers to queries count as old now. */
  readonly records: number;
}

export interface OfflineOutcome {
  readonly hasChanged: boolean;
  /** The other nodes: those that are connected to the same Redis now were told, or Redis is away, or there is none. */
  readonly others: "told" | "away" | "none";
}

export type ReloadOutcome =
  | {
      readonly outcome: "applied";
      /** Settings, as `section.key`, that were changed but keep their old value until the next start. */
      readonly needRestart: readonly string[];
    }
  /** The configuration before still counts. */
  | { readonly outcome: "refused"; readonly reason: string };

export interface NodeStatus {
  readonly version: string;
  readonly url: string;
  readonly uptimeSeconds: number;
  /** Nobody is asked; what is stored is served. */
  readonly isOffline: boolean;
  readonly isDraining: boolean;
  /** Where modules come from, as it may be printed. */
  readonly chain: string;
  /** Files and records being fetched now. */
  readonly fetching: number;
  readonly parts: readonly PartHealth[];
  readonly incidents: Incidents;
}

export interface OperatorApiOptions {
  /** Undefined: there is none that could be kept, so nobody can show it. */
  readonly token: Secret | undefined;
  readonly clientAddress: ClientAddress;
  /** Is told of whoever shows no good one. */
  readonly onRefused: (client: string, shown: "no token" | "a wrong token") => void;
  readonly actions: OperatorActions;
}

/** With the request as Node has it. */
export type OperatorHono = Hono<{ Bindings: HttpBindings }>;

const maxBodyBytes = 64 * 1024;
const routes = "POST /-/purge, POST /-/offline, POST /-/reload, GET /-/status, and GET, POST and DELETE /-/drill";

/** The API below `/-/`, in JSON. An error is `{"error": {"code", "message"}}`. */
export function createOperatorApi({ token, clientAddress, onRefused, actions }: OperatorApiOptions): OperatorHono {
  const refuse = createTokenCheck(token);
  const api: OperatorHono = new Hono();
  api.onError((error, context) => answerError(error, context));
  // Before anything of a body is read.
  api.use(async (context, next) => {
    const refusal = refuse(context.req.header("authorization"));
    if (refusal !== undefined) {
      onRefused(clientAddress(context.env.incoming), refusal.shown);
      throw new SluiceError("unauthorized", refusal.message);
    }
    await next();
  });
  api.use(
    bodyLimit({
      maxSize: maxBodyBytes,
      onError: () => {
        throw new SluiceError("request_too_large", `the body is larger than ${maxBodyBytes / 1024} KiB`);
      },
    }),
  );
  api.post("/purge", async (context) => context.json(await actions.purge(parsePurge(await readJson(context.req)))));
  api.post("/offline", async (context) => {
    const { offline } = fieldsOf(await readJson(context.req), { offline: "flag" });
    if (offline === undefined) throw new SluiceError("bad_request", 'offline is missing; write {"offline": true}');
    return context.json({ isOffline: offline, ...actions.turnOffline(offline) });
  });
  api.post("/reload", async (context) => {
    fieldsOf(await readJson(context.req), {});
    return context.json(await actions.reload());
  });
  api.get("/status", async (context) => context.json(await actions.status()));
  addDrillRoutes(api, actions.drills, readJson);
  api.all("*", ({ req }) => {
    throw new SluiceError("not_found", `${req.method} ${req.path} is nothing here; there are ${routes}`);
  });
  return api;
}

interface Refusal {
  readonly shown: "no token" | "a wrong token";
  readonly message: string;
}

/** Why it is not an operator who asks, or undefined. Takes as long for a wrong token as for any other. */
function createTokenCheck(token: Secret | undefined): (authorization: string | undefined) => Refusal | undefined {
  const expected = token === undefined ? undefined : digest(token.reveal());
  return (authorization) => {
    const [, bearer] = /^bearer +(\S+)$/i.exec(authorization?.trim() ?? "") ?? [];
    const shown = bearer === undefined ? "no token" : "a wrong token";
    if (expected === undefined) {
      const message =
        "this Sluice has no admin token, as its data folder could not be written at the start; set token_file of [admin] or SLUICE_ADMIN_TOKEN, and start it again";
      return { shown, message };
    }
    if (bearer === undefined) {
      const message =
        "this needs the admin token as Authorization: Bearer <token>; it is what [admin] says, else in admin.token of the data folder";
      return { shown, message };
    }
    if (timingSafeEqual(digest(bearer), expected)) return undefined;
    const message =
      "this is not the admin token of this Sluice; it is what [admin] says, else in admin.token of the data folder";
    return { shown, message };
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

async function readJson(request: { text(): Promise<string> }): Promise<unknown> {
  const text = await request.text();
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw new SluiceError("bad_request", "the body is not JSON");
  }
}

function answerError(thrown: unknown, context: Context): Response {
  // A bug: the handler around all routes tells it.
  if (!isSluiceError(thrown)) throw thrown;
  const { code, message } = thrown;
  const headers = new Headers({ "cache-control": "no-store" });
  // Whatever else of a body comes is not read.
  if (context.req.method !== "GET") headers.set("connection", "close");
  if (code === "unauthorized") headers.set("www-authenticate", 'Bearer realm="sluice"');
  return Response.json({ error: { code, message } }, { status: errorTable[code].status, headers });
}
