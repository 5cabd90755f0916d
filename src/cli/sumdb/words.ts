import { redactUrl } from "../../net/redact.ts";

/** `1 record`, `2 records`. */
export function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** An address for messages: without secrets and slash at its end. */
export function addressOf(url: URL): string {
  return redactUrl(url).replace(/\/+$/, "");
}
