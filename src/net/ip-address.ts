import { isIP, isIPv4 } from "node:net";

/** The 4 or 16 bytes of an IP address, without brackets or zone, or undefined. An IPv4-mapped IPv6 address is IPv4. */
export function ipBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (isIP(text) === 0 || text.includes("%")) return undefined;
  const bytes = ipv6Bytes(text);
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return isMapped ? bytes.subarray(12) : bytes;
}

function ipv6Bytes(address: string): Uint8Array {
  // URL writes any IPv6 address in hexadecimal groups with at most one gap.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail = ""] = canonical.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === "" ? [] : tail.split(":");
  const gap = Array<string>(8 - left.length - right.length).fill("0");
  return Uint8Array.from(
    [...left, ...gap, ...right].flatMap((group) => [
      Number.parseInt(group, 16) >> 8,
      Number.parseInt(group, 16) & 0xff,
    ]),
  );
}
