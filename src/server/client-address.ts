import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { createAddressRanges } from "../policy/address-ranges.ts";

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
  const isTrusted = createAddressRanges(trustedProxies);
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
