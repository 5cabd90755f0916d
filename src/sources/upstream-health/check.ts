import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { HttpClient } from "../../net/http.ts";

/**
 * Asks an upstream for something cheap. `alive`: it answered, whatever it said; an error: it did not, or said that it cannot;
 * `unknown`: it could not be asked.
 */
export type Check = (signal: AbortSignal) => Promise<"alive" | "unknown" | SluiceError>;

export interface CheckOptions {
  /** Printable, of the upstream. */
  readonly name: string;
  readonly url: URL;
  readonly credentials?: { readonly username: string; readonly password: string } | undefined;
  readonly http: HttpClient;
  readonly clock: Clock;
  /** Default 5 s. */
  readonly timeoutMs?: number | undefined;
}

const maxBytes = 65_536;

export function createCheck({ name, url, credentials, http, clock, timeoutMs = 5000 }: CheckOptions): Check {
  return async (signal) => {
    const over = new AbortController();
    const late = new SluiceError("upstream_timeout", `${name}: did not answer a check within ${timeoutMs / 1000} s`);
    const waited = new AbortController();
    clock.sleep(timeoutMs, waited.signal).then(
      () => over.abort(),
      // It was answered before.
      () => undefined,
    );
    try {
      const response = await http.get({ url, credentials, maxBytes, signal: AbortSignal.any([signal, over.signal]) });
      response.discard();
      const { status } = response;
      if (status < 500) return "alive";
      return new SluiceError("upstream_failed", `${name}: answered a check with ${status}`, { details: { status } });
    } catch (error) {
      if (over.signal.aborted) return late;
      if (!isSluiceError(error, "upstream_failed", "upstream_timeout", "upstream_invalid")) return "unknown";
      return error;
    } finally {
      waited.abort();
    }
  };
}

/** Where a check asks: `path` below the upstream's own, and with its query. */
export function checkUrl(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path.replace(/^\/+/, "")}`;
  return url;
}
