import { domainToASCII } from "node:url";
import { ipBytes } from "./ip-address.ts";

type Matcher = (target: Target) => boolean;

interface Target {
  /** Lowercase ASCII, without brackets. */
  readonly host: string;
  readonly port: string;
  readonly ip: Uint8Array | undefined;
}

/**
 * The matching rules of golang.org/x/net/http/httpproxy for NO_PROXY. The result answers whether a URL goes straight to its
 * server. `localhost` and loopback addresses always do.
 */
export function parseNoProxy(noProxy: string): (url: URL) => boolean {
  const entries = noProxy.split(",").map((entry) => entry.trim().toLowerCase());
  const matchesAll = entries.includes("*");
  const matchers = entries.map(parseEntry).filter((matcher) => matcher !== undefined);
  return (url) => {
    const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
    const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
    const target = { host, port, ip: ipBytes(host) };
    if (host === "localhost" || isLoopback(target.ip)) return true;
    return matchesAll || matchers.some((matches) => matches(target));
  };
}

function parseEntry(entry: string): Matcher | undefined {
  if (entry === "") return undefined;
  const network = parseNetwork(entry);
  if (network !== undefined) return ({ ip }) => ip !== undefined && contains(network, ip);
  const [host, port] = splitHostPort(entry) ?? [entry, ""];
  if (host === "") return undefined;
  const portMatches = (target: Target): boolean => port === "" || port === target.port;
  const ip = ipBytes(host);
  if (ip !== undefined)
    return (target) => target.ip !== undefined && Buffer.compare(ip, target.ip) === 0 && portMatches(target);

  const domain = host.startsWith("*.") ? host.slice(1) : host;
  const suffix = toAscii(domain.startsWith(".") ? domain : `.${domain}`);
  // `.example.com` and `*.example.com` mean what is below it, `example.com` itself too.
  const itself = domain.startsWith(".") ? undefined : suffix.slice(1);
  return (target) =>
    target.ip === undefined && (target.host.endsWith(suffix) || target.host === itself) && portMatches(target);
}

interface Network {
  readonly address: Uint8Array;
  readonly prefix: number;
}

function parseNetwork(entry: string): Network | undefined {
  const [, host = "", digits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const address = ipBytes(host);
  if (address === undefined) return undefined;
  const isMapped = address.length === 4 && host.includes(":");
  const prefix = Number(digits) - (isMapped ? 96 : 0);
  if (prefix < 0 || prefix > address.length * 8) return undefined;
  return { address, prefix };
}

function contains({ address, prefix }: Network, ip: Uint8Array): boolean {
  if (ip.length !== address.length) return false;
  return ip.every((byte, index) => {
    const bits = Math.min(Math.max(prefix - index * 8, 0), 8);
    const mask = (0xff << (8 - bits)) & 0xff;
    return (byte & mask) === ((address[index] ?? 0) & mask);
  });
}

/** As Go's net.SplitHostPort: undefined where that fails, as for a host without a port or an IPv6 address without brackets. */
function splitHostPort(text: string): [host: string, port: string] | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text);
  return match === null ? undefined : [match[1] ?? match[2] ?? "", match[3] ?? ""];
}

function isLoopback(ip: Uint8Array | undefined): boolean {
  if (ip === undefined) return false;
  return ip.length === 4 ? ip[0] === 127 : ip.every((byte, index) => byte === (index === 15 ? 1 : 0));
}

function toAscii(suffix: string): string {
  const ascii = domainToASCII(suffix.slice(1));
  return ascii === "" ? suffix : `.${ascii}`;
}
