import { redactUrl } from "../../net/redact.ts";

/** An address for messages: without secrets and slash at its end. */
export function addressOf(url: URL): string {
  return redactUrl(url).replace(/\/+$/, "");
}
