import type { Answer } from "../core/answer.ts";
import { SluiceError } from "../core/errors.ts";
import type { Resolver } from "../core/resolve.ts";
import type { Access } from "../policy/access.ts";
import { ProtocolError } from "../protocol/error.ts";
import { blobKey, type ModuleRequest, parseRequest } from "../protocol/goproxy/index.ts";
import { createHandler, type ExchangeOptions, type Reply, type RequestHandler, type Subject } from "./exchange.ts";

export interface ProtocolHandlerOptions extends ExchangeOptions {
  readonly resolver: Resolver;
  readonly access: Access;
  readonly redirect?: Redirect | undefined;
}

/** Where a client gets an answer that is stored, instead of from here; undefined for one that it gets here. */
export type Redirect = (request: ModuleRequest, answer: Answer) => (() => Promise<string | undefined>) | undefined;

const contentTypes: Readonly<Record<ModuleRequest["kind"], string>> = {
  list: "text/plain; charset=utf-8",
  latest: "application/json",
  info: "application/json",
  query: "application/json",
  mod: "text/plain; charset=utf-8",
  zip: "application/zip",
};

/** Answers the requests of the GOPROXY protocol for modules. */
export function createProtocolHandler(options: ProtocolHandlerOptions): RequestHandler {
  return createHandler(options, async ({ path, cachedOnly, client, signal, describe }) => {
    const request = parsePath(path);
    describe(subjectOf(request));
    const refusal = options.access.refuseModule(request.modulePath);
    if (refusal !== undefined) throw refusal;
    const answer = await options.resolver.resolve(request, { signal, client, cachedOnly });
    return { ...replyTo(request, answer), elsewhere: options.redirect?.(request, answer) };
  });
}

export function replyTo(request: ModuleRequest, answer: Answer): Reply {
  return { answer, contentType: contentTypes[request.kind], key: blobKey(request) };
}

/** For logs and metrics. */
export function subjectOf(request: ModuleRequest): Subject {
  return { kind: request.kind, module: request.modulePath, version: versionOf(request) };
}

function parsePath(path: string): ModuleRequest {
  try {
    return parseRequest(path);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SluiceError("malformed_request", `not found: ${error.message}`, { cause: error });
  }
}

function versionOf(request: ModuleRequest): string | undefined {
  if (request.kind === "query") return request.query;
  return request.kind === "list" || request.kind === "latest" ? undefined : request.version;
}
