import { expect, test } from "vitest";
import { createClientAddress } from "./client-address.ts";

test.each([
  ["no front end is trusted", [], "10.0.0.9", "1.2.3.4", "10.0.0.9"],
  ["a stranger's header", ["10.0.0.0/8"], "192.0.2.1", "1.2.3.4", "192.0.2.1"],
  ["a trusted front end", ["10.0.0.0/8"], "10.0.0.9", "1.2.3.4", "1.2.3.4"],
  ["what the client wrote itself does not count", ["10.0.0.0/8"], "10.0.0.9", "6.6.6.6, 1.2.3.4", "1.2.3.4"],
  ["two trusted hops", ["10.0.0.0/8"], "10.0.0.9", "1.2.3.4, 10.0.0.8", "1.2.3.4"],
  ["nonsense", ["10.0.0.0/8"], "10.0.0.9", 'evil"}, {', "10.0.0.9"],
  ["no header", ["10.0.0.0/8"], "10.0.0.9", undefined, "10.0.0.9"],
  ["a single address", ["::1"], "::1", "2001:db8::1", "2001:db8::1"],
  ["an IPv4 peer on an IPv6 socket", ["127.0.0.1"], "::ffff:127.0.0.1", "1.2.3.4", "1.2.3.4"],
])("%s", (_name, trusted, peer, forwardedFor, expected) => {
  const request = {
    socket: { remoteAddress: peer },
    headers: forwardedFor === undefined ? {} : { "x-forwarded-for": forwardedFor },
  };
  expect(createClientAddress(trusted)(request)).toBe(expected);
});
