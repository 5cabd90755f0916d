import { randomBytes } from "node:crypto";

/** Unique over processes and cheap enough for every request: a random prefix and a counter. */
export function createRequestIds(): () => string {
  const prefix = `${randomBytes(5).toString("hex")}-`;
  let count = 0;
  return () => prefix + (++count).toString(36);
}
