import { BlockList, isIP, isIPv6 } from "node:net";
import type { IncomingMessage } from "node:http";

/** Tells who a request came from. */
export type ClientAddress = (request: AddressedRequest) => string;

/** The part of a request that says where it came from. */
type AddressedRequest = Pick<IncomingMessage, "headers"> & {
  readonly socket: { readonly remoteAddress?: string | undefined };
};

/**
 * The peer's address or, when the peer is one of `trustedProxies` (IPs and CIDRs), the last address of `X-Forwarded-For` that is
 * not. From anyone else the header is ignored, so nobody can pretend to be another.
 */
export function createClientAddress(trustedProxies: readonly string[]): ClientAddress {
  if (trustedProxies.length === 0) return peerAddress;
  const trusted = new BlockList();
  for (const range of trustedProxies) {
    const [address = "", bits] = range.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    trusted.addSubnet(address, bits === undefined ? (family === "ipv6" ? 128 : 32) : Number(bits), family);
  }
  const isTrusted = (address: string): boolean =>
    isIP(address) !== 0 && trusted.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  return (request) => {
    let client = peerAddress(request);
    const hops = String(request.headers["x-forwarded-for"] ?? "").split(",");
    while (isTrusted(client)) {
      const hop = hops.pop()?.trim() ?? "";
      if (isIP(hop) === 0) return client;
      client = hop;
    }
    return client;
  };
}

function peerAddress(request: AddressedRequest): string {
  const address = request.socket.remoteAddress ?? "";
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
