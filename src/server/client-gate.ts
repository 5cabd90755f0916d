import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { SluiceError } from "../core/errors.ts";
import type { Access } from "../policy/access.ts";
import type { Bucket, RateLimit } from "../policy/rate-limit.ts";
import type { ClientAddress } from "./client-address.ts";
import { createHandler, type ExchangeOptions } from "./exchange.ts";

export interface ClientGateOptions {
  readonly exchange: ExchangeOptions;
  readonly access: Access;
  /** Undefined: there is none. */
  readonly rateLimit: RateLimit | undefined;
  /** Whether a client has no rate limit. */
  readonly isUnlimited: (address: string) => boolean;
  readonly clientAddress: ClientAddress;
  /** Whether the client's address depends on more than its connection. */
  readonly hasTrustedProxies: boolean;
}

/** Stands before everything that clients are answered, memory included. */
export interface ClientGate {
  /** Whether the request was refused, and answered so. */
  refuses(request: IncomingMessage, response: ServerResponse): boolean;
}

/** What is known of a client. */
interface Visitor {
  readonly refusal: SluiceError | undefined;
  readonly bucket: Bucket | undefined;
}

const openToAll: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);

/** Refuses clients of networks that may not ask, and those that ask too much. The networks are looked at once for each connection. */
export function createClientGate(options: ClientGateOptions): ClientGate {
  const { access, rateLimit, clientAddress, isUnlimited } = options;
  const visitors = new WeakMap<Socket, Visitor>();

  const visitorAt = (address: string): Visitor => ({
    refusal: access.refuseClient(address),
    bucket: rateLimit === undefined || isUnlimited(address) ? undefined : rateLimit.bucketOf(address),
  });
  const visitorOf = (request: IncomingMessage): Visitor => {
    // Behind a front end one connection is that of many clients.
    if (options.hasTrustedProxies && request.headers["x-forwarded-for"] !== undefined)
      return visitorAt(clientAddress(request));
    const known = visitors.get(request.socket);
    if (known !== undefined) return known;
    const visitor = visitorAt(clientAddress(request));
    visitors.set(request.socket, visitor);
    return visitor;
  };

  return {
    refuses(request, response) {
      const { refusal, bucket } = visitorOf(request);
      if (refusal === undefined && bucket === undefined) return false;
      if (isOpenToAll(request.url ?? "/", options.exchange.basePath)) return false;
      const error = refusal ?? (bucket === undefined ? undefined : rateLimit?.take(bucket));
      if (error === undefined) return false;
      void createHandler(options.exchange, () => Promise.reject(error))(request, response);
      return true;
    },
  };
}

function isOpenToAll(url: string, basePath: string): boolean {
  const query = url.indexOf("?");
  const path = query < 0 ? url : url.slice(0, query);
  return openToAll.has(path) || (path.startsWith(basePath) && openToAll.has(path.slice(basePath.length)));
}
