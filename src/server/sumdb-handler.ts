import { type Answer, answerBytes } from "../core/answer.ts";
import { SluiceError } from "../core/errors.ts";
import type { ServedLog } from "../core/served-log.ts";
import type { Access } from "../policy/access.ts";
import { ProtocolError } from "../protocol/error.ts";
import { quoteShort } from "../protocol/go-text.ts";
import { type LogRequest, parseLogRequest } from "../protocol/sumdb/index.ts";
import { type Asked, createHandler, type ExchangeOptions, type RequestHandler } from "./exchange.ts";
import { sumdbPrefix } from "./request-path.ts";

export interface SumdbHandlerOptions extends ExchangeOptions {
  /** Each has a name of its own. Those of others know what must not be asked of them. */
  readonly logs: readonly ServedLog[];
  readonly access: Pick<Access, "refuseModule">;
}

const text = "text/plain; charset=utf-8";
const contentTypes: Readonly<Record<LogRequest["kind"], string>> = {
  supported: text,
  latest: text,
  lookup: text,
  tile: "application/octet-stream",
};
/** What is supported changes with the configuration only. */
const supportedForMs = 60_000;
const nothing = new Uint8Array();

/** Answers what go asks a proxy of checksum databases: `/sumdb/<name>/…` (SPEC §6.4). */
export function createSumdbHandler(options: SumdbHandlerOptions): RequestHandler {
  const { logs, access } = options;
  // A name may begin with another one: corp.example and corp.example/log.
  const longestFirst = logs.toSorted((a, b) => b.name.length - a.name.length);

  return createHandler(options, async (asked) => {
    asked.describe({ kind: "sumdb" });
    const path = asked.path.slice(sumdbPrefix.length);
    const log = longestFirst.find(({ name }) => path.startsWith(`${name}/`)) ?? refuseUnknown(path, logs);
    const request = parseRest(path.slice(log.name.length + 1));
    if (request.kind === "lookup") {
      asked.describe({ kind: "sumdb", module: request.modulePath, version: request.version });
      // Its name must not go to others either, and our own log must not get a record of it.
      const refusal = access.refuseModule(request.modulePath);
      if (refusal !== undefined) throw refusal;
    }
    return { answer: await ask(log, request, asked), contentType: contentTypes[request.kind] };
  });
}

async function ask(log: ServedLog, request: LogRequest, context: Asked): Promise<Answer> {
  if (request.kind === "latest") return log.latest(context);
  if (request.kind === "lookup") return log.lookup(request.modulePath, request.version, context);
  if (request.kind === "tile") return log.tile(request.tile, context);
  return answerBytes(nothing, { source: log.name, cache: "hit", freshForMs: supportedForMs });
}

function parseRest(rest: string): LogRequest {
  try {
    return parseLogRequest(rest);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    const code = /^(lookup|tile)\//.test(rest) ? "bad_request" : "malformed_request";
    throw new SluiceError(code, error.message, { cause: error });
  }
}

function refuseUnknown(path: string, logs: readonly ServedLog[]): never {
  const [, asked = path] = /^(.+?)\/(?:supported|latest|lookup|tile)\b/.exec(path) ?? [];
  const known = logs.length === 0 ? "none" : logs.map(({ name }) => name).join(", ");
  throw new SluiceError(
    "not_found",
    `not found: this Sluice serves no checksum database ${quoteShort(asked)}; it serves ${known}`,
  );
}
