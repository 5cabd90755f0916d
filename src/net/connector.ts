import { connect as connectTcp, isIP, type LookupFunction, type Socket } from "node:net";
import { connect as connectTls, type SecureContext, type TLSSocket } from "node:tls";
import { callbackify } from "node:util";
import { LRUCache } from "lru-cache";
import type { buildConnector } from "undici";
import { SluiceError } from "../core/errors.ts";
import type { DnsCache } from "./dns-cache.ts";
import { httpConnect } from "./http-tunnel.ts";
import { proxyAddress } from "./proxy.ts";
import { socks5Connect } from "./socks5.ts";
import { isPublicAddress, privateAddress } from "./ssrf.ts";
import { transportError } from "./transport-error.ts";

export interface ConnectorOptions {
  readonly secureContext: SecureContext;
  readonly dns: DnsCache;
  /** Of TCP, proxy and TLS together. */
  readonly connectMs: number;
  /** Everything goes through this proxy. */
  readonly proxy?: URL | undefined;
  /** Refuses addresses that no server of the public internet has. Checked on the very address that is connected to. */
  readonly publicOnly?: boolean;
  /** Takes any certificate of the target. That of an https proxy must be good all the same. */
  readonly insecure?: boolean;
  readonly allowHttp2?: boolean;
  /** Aborted when the client is closed, so that no connection under way outlives it. */
  readonly lifetime: AbortSignal;
}

interface Endpoint {
  /** Without brackets. */
  readonly hostname: string;
  readonly port: number;
  readonly secure: boolean;
  /** Any certificate will do. */
  readonly insecure?: boolean;
}

interface Attempt {
  readonly options: ConnectorOptions;
  readonly sessions: LRUCache<string, Buffer>;
  readonly signal: AbortSignal;
}

/**
 * What undici calls for every new connection. Unlike undici's own it keeps TLS sessions for as long as the client lives (undici's
 * are weak references, gone with the next garbage collection), shares one parsed certificate store between connections, and can tunnel.
 */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const sessions = new LRUCache<string, Buffer>({ max: 1000 });
  const open = callbackify((target: Endpoint) => establishInTime(target, options, sessions));
  return (target, callback) => {
    const secure = target.protocol === "https:";
    const port = Number(target.port) || (secure ? 443 : 80);
    open(
      { hostname: target.hostname, port, secure, insecure: options.insecure === true },
      (error: Error | null, socket) => {
        if (error === null) callback(null, socket);
        else callback(error, null);
      },
    );
  };
}

async function establishInTime(
  target: Endpoint,
  options: ConnectorOptions,
  sessions: LRUCache<string, Buffer>,
): Promise<Socket> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.connectMs);
  const attempt = { options, sessions, signal: AbortSignal.any([deadline.signal, options.lifetime]) };
  try {
    return await establish(target, attempt);
  } catch (error) {
    throw connectError(error, target, attempt);
  } finally {
    clearTimeout(timer);
  }
}

async function establish(target: Endpoint, attempt: Attempt): Promise<Socket> {
  const { proxy } = attempt.options;
  if (proxy === undefined) {
    const socket = await openTcp(target, attempt);
    return target.secure ? startTls(socket, target, attempt) : socket;
  }
  const toProxy = proxyAddress(proxy);
  const tcp = await openTcp(toProxy, attempt);
  const socket = toProxy.secure ? await startTls(tcp, toProxy, attempt) : tcp;
  // To an http: target undici speaks to the proxy itself, with the whole URL in the request line.
  if (target.hostname === toProxy.hostname && target.port === toProxy.port) return socket;
  const connectThrough = proxy.protocol.startsWith("socks5") ? socks5Connect : httpConnect;
  const through = await connectThrough(socket, proxy, {
    hostname: target.hostname,
    port: target.port,
    signal: attempt.signal,
  });
  return target.secure ? startTls(through, target, attempt) : through;
}

function openTcp({ hostname, port }: Endpoint, { options, signal }: Attempt): Promise<Socket> {
  const publicOnly = options.publicOnly === true && options.proxy === undefined;
  if (publicOnly && isIP(hostname) !== 0 && !isPublicAddress(hostname)) throw privateAddress(hostname);
  const lookup = lookupThrough(options.dns, publicOnly);
  const socket = connectTcp({
    host: hostname,
    port,
    lookup,
    autoSelectFamily: true,
    // Node's 250 ms lose on a satellite or a busy VPN; without IPv6 this is what the first connection costs.
    autoSelectFamilyAttemptTimeout: 500,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  });
  return whenOpen(socket, "connect", signal);
}

async function startTls(
  socket: Socket,
  { hostname, port, insecure }: Endpoint,
  { options, sessions, signal }: Attempt,
): Promise<TLSSocket> {
  const sessionKey = `${hostname}:${port}`;
  const session = sessions.get(sessionKey);
  const secured = connectTls({
    socket,
    host: hostname,
    // Server names are names; an address is checked against the certificate all the same.
    ...(isIP(hostname) === 0 && { servername: hostname.replace(/\.$/, "") }),
    secureContext: options.secureContext,
    ...(insecure === true && { rejectUnauthorized: false }),
    ALPNProtocols: options.allowHttp2 === true ? ["h2", "http/1.1"] : ["http/1.1"],
    ...(session !== undefined && { session }),
  });
  secured.on("session", (fresh) => sessions.set(sessionKey, fresh));
  return whenOpen(secured, "secureConnect", signal);
}

function whenOpen<S extends Socket>(socket: S, event: "connect" | "secureConnect", signal: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      signal.removeEventListener("abort", onAbort);
      socket.off("error", settle).off("close", onClose).off(event, onOpen);
      if (error === undefined) return resolve(socket);
      socket.on("error", () => undefined).destroy();
      reject(error);
    };
    const onOpen = (): void => settle();
    const onClose = (): void => settle(Object.assign(new Error("closed while connecting"), { code: "ECONNRESET" }));
    const onAbort = (): void => settle(new DOMException("connecting was aborted", "AbortError"));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    socket.on("error", settle).on("close", onClose).on(event, onOpen);
  });
}

function lookupThrough(dns: DnsCache, publicOnly: boolean): LookupFunction {
  const resolve = callbackify(async (hostname: string) => {
    const addresses = await dns.resolve(hostname);
    const hostile = publicOnly ? addresses.find(({ address }) => !isPublicAddress(address)) : undefined;
    if (hostile !== undefined) throw privateAddress(hostname, hostile.address);
    return addresses;
  });
  return (hostname, lookupOptions, callback) => {
    resolve(hostname, (error: Error | null, addresses) => {
      if (error !== null) callback(error, "");
      else if (lookupOptions.all === true) callback(null, [...addresses]);
      else callback(null, addresses[0]?.address ?? "", addresses[0]?.family);
    });
  };
}

function connectError(error: unknown, target: Endpoint, { options, signal }: Attempt): SluiceError {
  const host = hostOf(target, options);
  if (options.lifetime.aborted)
    return new SluiceError("cancelled", `${host}: the client was closed while connecting.`, { cause: error });
  if (!signal.aborted) return transportError(error, { host });
  return transportError(Object.assign(new Error("connect timeout", { cause: error }), { code: "ETIMEDOUT" }), {
    host,
    connectMs: options.connectMs,
  });
}

/** The party that is talked to first is the one at fault when there is no connection. */
function hostOf(target: Endpoint, { proxy }: ConnectorOptions): string {
  const name = target.hostname.includes(":") ? `[${target.hostname}]` : target.hostname;
  const host = target.port === (target.secure ? 443 : 80) ? name : `${name}:${target.port}`;
  return proxy === undefined || proxy.host === host ? host : `${host} through the proxy ${proxy.host}`;
}
