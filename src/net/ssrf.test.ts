import { expect, test } from "vitest";
import { isPrivateHost, isPublicAddress } from "./ssrf.ts";

test.each([
  ["8.8.8.8", true],
  ["1.1.1.1", true],
  ["172.15.255.255", true],
  ["172.32.0.1", true],
  ["192.167.255.255", true],
  ["100.63.255.255", true],
  ["2606:4700::1111", true],
  ["::ffff:8.8.8.8", true],
  ["64:ff9b::808:808", true],
  ["0.0.0.0", false],
  ["10.0.0.1", false],
  ["100.64.0.1", false],
  ["127.0.0.1", false],
  ["127.255.255.254", false],
  ["169.254.169.254", false],
  ["172.16.0.1", false],
  ["172.31.255.255", false],
  ["192.168.1.1", false],
  ["198.18.0.1", false],
  ["224.0.0.1", false],
  ["255.255.255.255", false],
  ["::", false],
  ["::1", false],
  ["fe80::1", false],
  ["fe80::1%eth0", false],
  ["fd00::1", false],
  ["ff02::1", false],
  // The same in other clothes.
  ["::ffff:127.0.0.1", false],
  ["::ffff:a9fe:a9fe", false],
  ["::127.0.0.1", false],
  ["64:ff9b::7f00:1", false],
  ["64:ff9b::a9fe:a9fe", false],
  ["2002:7f00:1::", false],
  ["2002:0a01:0203::1", false],
  ["not an address", false],
])("%s is public: %s", (address, isPublic) => {
  expect(isPublicAddress(address)).toBe(isPublic);
});

test.each([
  ["http://localhost/", true],
  ["http://localhost./", true],
  ["http://admin.localhost/", true],
  ["http://127.1/", true],
  ["http://0x7f.0.0.1/", true],
  ["http://2130706433/", true],
  ["http://[::1]/", true],
  ["http://[::ffff:7f00:1]/", true],
  ["http://169.254.169.254/", true],
  ["http://example.com/", false],
  ["http://8.8.8.8/", false],
  ["http://localhost.example.com/", false],
])("%s is known as private without DNS: %s", (url, isPrivate) => {
  expect(isPrivateHost(new URL(url).hostname)).toBe(isPrivate);
});
