import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { isSluiceError, SluiceError } from "../core/errors.ts";
import type { DnsCache } from "./dns-cache.ts";
import { transportError } from "./transport-error.ts";

const privateReason = "private_address";

// IANA's special-purpose registries: what no server of the public internet can have. Anything here that answers is a
// neighbour of this machine: a metadata service, an admin page, a database.
const notPublic4 = [
  ["0.0.0.0", 8], // this network
  ["10.0.0.0", 8],
  ["100.64.0.0", 10], // shared by carriers and overlay networks
  ["127.0.0.0", 8],
  ["169.254.0.0", 16], // link-local, and the metadata services of clouds
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, and broadcast
] as const;
const notPublic6 = [
  ["::", 96], // unspecified, loopback, and IPv4-compatible
  ["64:ff9b:1::", 48], // local translation
  ["100::", 64],
  ["2001:db8::", 32],
  ["fc00::", 7], // unique local
  ["fe80::", 10], // link-local
  ["fec0::", 10],
  ["ff00::", 8], // multicast
] as const;

const blocked = new BlockList();
for (const [network, prefix] of notPublic4) {
  blocked.addSubnet(network, prefix, "ipv4");
  // NAT64 and 6to4 carry the IPv4 address they lead to. (IPv4-mapped ones BlockList compares as IPv4 itself.)
  const hex = network.split(".").map((octet) => Number(octet).toString(16).padStart(2, "0"));
  const embedded = `${hex.slice(0, 2).join("")}:${hex.slice(2).join("")}`;
  blocked.addSubnet(`64:ff9b::${embedded}`, 96 + prefix, "ipv6");
  blocked.addSubnet(`2002:${embedded}::`, 16 + prefix, "ipv6");
}
for (const [network, prefix] of notPublic6) blocked.addSubnet(network, prefix, "ipv6");

/** Tells whether an IP address, without brackets, is one that servers of the public internet have. */
export function isPublicAddress(address: string): boolean {
  const bare = address.replace(/%.*$/, "");
  if (isIPv4(bare)) return !blocked.check(bare, "ipv4");
  if (isIPv6(bare)) return !blocked.check(bare, "ipv6");
  return false;
}

/** Tells whether a host of a URL names this machine or its network without asking DNS: an address, or `localhost`. */
export function isPrivateHost(hostname: string): boolean {
  const bare = hostname
    .replace(/^\[|\]$/g, "")
    .replace(/\.$/, "")
    .toLowerCase();
  if (isIP(bare) !== 0) return !isPublicAddress(bare);
  return bare === "localhost" || bare.endsWith(".localhost");
}

/** The refusal of a redirect that leads from a public upstream into this network. */
export function privateAddress(hostname: string, address?: string): SluiceError {
  const shown = address === undefined ? hostname : `${hostname} (${address})`;
  return new SluiceError(
    "upstream_invalid",
    `a redirect of a public upstream leads to ${shown}, an address within this network. It was not followed. Name that server as an upstream if it is meant.`,
    { details: { host: hostname, reason: privateReason, permanent: true } },
  );
}

export function isPrivateAddress(error: unknown): error is SluiceError {
  return isSluiceError(error) && error.details["reason"] === privateReason;
}

/** The same where no upstream was asked, but a host that a client or a stranger named. They are not told the address. */
export function unnamedPrivateHost({ details }: Pick<SluiceError, "details">): SluiceError {
  return new SluiceError(
    "upstream_refused",
    `${details["host"]}: this host has an address within this network, where Sluice goes only for hosts that its configuration names. Nothing was sent to it.`,
    { details: { ...details, permanent: true } },
  );
}

export interface AddressGuardOptions {
  readonly dns: DnsCache;
  /** What goes through a proxy is resolved there, so that only an address in the URL itself can be judged here. */
  readonly egress?: ((url: URL) => URL | undefined) | undefined;
}

/**
 * Makes what fails with `upstream_refused` for a URL whose host has an address within this network, and with `upstream_failed`
 * for one without any. For programs that open connections themselves, such as git; HTTP has `mayBePrivate` of a request.
 * Answers the addresses that were judged, which the program has to stay with: DNS may say something else when it asks.
 * Undefined where no name is resolved here, as it is an address already or a proxy resolves it.
 */
export function createAddressGuard({
  dns,
  egress,
}: AddressGuardOptions): (url: URL) => Promise<readonly string[] | undefined> {
  return async (url) => {
    const hostname = url.hostname.replace(/^\[|\]$/g, "");
    if (isPrivateHost(hostname)) throw unnamedPrivateHost({ details: { host: hostname } });
    const isHttp = url.protocol === "https:" || url.protocol === "http:";
    if (isIP(hostname) !== 0 || (isHttp && egress?.(url) !== undefined)) return undefined;
    const addresses = await dns.resolve(hostname).catch((error: unknown) => {
      throw transportError(error, { host: hostname });
    });
    if (addresses.every(({ address }) => isPublicAddress(address))) return addresses.map(({ address }) => address);
    throw unnamedPrivateHost({ details: { host: hostname } });
  };
}
