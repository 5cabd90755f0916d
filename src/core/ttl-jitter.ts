/** Of a TTL, more or less. */
export const defaultJitter = 0.1;

/** A TTL of something that was checked then, in this process: always the same, and another one elsewhere or next time. */
export type TtlJitter = (ttlMs: number, of: { readonly key: string; readonly checkedAt: number }) => number;

/** What was fetched together, or by the nodes of a fleet, is not to be asked for again together. `share` is of the TTL; `salt` is a process's own. */
export function createTtlJitter(share: number, salt = Math.random()): TtlJitter {
  return (ttlMs, { key, checkedAt }) => {
    let sum = Math.floor(salt * 2 ** 32) ^ (checkedAt % 2 ** 31);
    for (let index = 0; index < key.length; index += 1) sum = Math.imul(sum ^ key.charCodeAt(index), 0x0100_0193);
    // The low bits of the product of neighbours are alike.
    sum = Math.imul(sum ^ (sum >>> 15), 0x85eb_ca6b);
    const fraction = ((sum ^ (sum >>> 13)) >>> 0) / 2 ** 32;
    return ttlMs * (1 + share * (2 * fraction - 1));
  };
}
