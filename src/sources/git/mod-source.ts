import { LRUCache } from "lru-cache";
import type { Events } from "../../core/events.ts";
import type { Clock, Source } from "../../core/ports.ts";
import type { HttpClient, HttpRequest } from "../../net/http.ts";
import { createUpstreamSource, type UpstreamSourceOptions } from "../upstream/http.ts";
import type { Entitlement } from "./credentials/entitlement.ts";
import type { HttpCredentials } from "./discovery/pages.ts";

export interface ModSourceOptions extends Pick<UpstreamSourceOptions, "queue" | "retry"> {
  /** Of a `RepoLocation`. */
  readonly url: string;
  /** Stays the caller's. */
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly events: Events;
  /** Hosts that may have an address within this network, of `createNamedHosts`. */
  readonly isNamedHost: (hostname: string) => boolean;
  /** Sent to https only. Default: none. */
  readonly credentials?: HttpCredentials | undefined;
}

/**
 * The GOPROXY that a go-import tag of the kind `mod` names (SPEC §4.4). It is as any upstream, but a stranger chose it: it may be
 * within this network only where the configuration names its host.
 */
export function createModSource({ url, http, isNamedHost, credentials, ...options }: ModSourceOptions): Source {
  const guarded: HttpClient = {
    get: async (request: HttpRequest) =>
      http.get({
        ...request,
        mayBePrivate: isNamedHost,
        credentials: request.url.protocol === "https:" ? await credentials?.(request.url) : undefined,
      }),
    close: () => http.close(),
  };
  return createUpstreamSource({ ...options, name: url.replace(/\/+$/, ""), url: new URL(url), http: guarded });
}

export interface ModSourcesOptions extends Omit<ModSourceOptions, "url" | "credentials"> {
  /** As far as the module that is asked for may have them. Default: none. */
  readonly credentials?: ((url: URL, entitlement: Entitlement) => ReturnType<HttpCredentials>) | undefined;
}

/** The sources of all such addresses, each with one queue however many modules it serves. Kept while they are used. */
export function createModSources({ credentials, ...options }: ModSourcesOptions): {
  open(url: string, entitlement: Entitlement): Source;
} {
  const sources = new LRUCache<string, Source>({ max: 200 });
  return {
    open(url, entitlement) {
      const key = `${entitlement} ${url}`;
      const entitled: HttpCredentials = async (asked) => credentials?.(asked, entitlement);
      const source = sources.get(key) ?? createModSource({ ...options, url, credentials: entitled });
      sources.set(key, source);
      return source;
    },
  };
}
