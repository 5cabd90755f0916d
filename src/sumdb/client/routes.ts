import { isSluiceError, type SluiceError } from "../../core/errors.ts";
import type { Clock, FetchContext } from "../../core/ports.ts";
import type { Secret } from "../../core/secret.ts";
import { Singleflight } from "../../core/singleflight.ts";
import type { HttpClient } from "../../net/http.ts";

type HiddenCredentials = Secret<{ readonly username: string; readonly password: string }>;

/** An upstream of the chain, which may speak for the database. */
export interface LogProxy {
  /** Printable. */
  readonly name: string;
  /** Of the GOPROXY, without user info. */
  readonly url: URL;
  readonly credentials?: HiddenCredentials | undefined;
  readonly http: HttpClient;
  /** A `|` stands behind it. */
  readonly fallBackOnError: boolean;
}

/** A way to the database. */
export interface LogRoute {
  /** Printable. */
  readonly name: string;
  /** What stands before `/lookup/…`. */
  readonly url: URL;
  readonly credentials?: HiddenCredentials | undefined;
  readonly http: HttpClient;
}

export interface RoutesOptions {
  /** Of the database. */
  readonly name: string;
  readonly url?: string | undefined;
  readonly proxies: readonly LogProxy[];
  readonly endsDirect: boolean;
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly routeTtlMs: number;
  /** Asks `supported` there. */
  readonly probe: (route: LogRoute, context: FetchContext) => Promise<void>;
}

export interface Routes {
  find(context: FetchContext): Promise<LogRoute>;
}

/**
 * Finds the way to a database as go does (SPEC §6.4): every proxy is asked in turn whether it speaks for it. 200: all is asked
 * there and nowhere else. 404 or 410: the next one. Anything else is a failure, which ends the search unless a `|` stands behind
 * the proxy. When no proxy is left, the database itself is asked, but not after a failure, unless the chain ends with `direct`.
 *
 * The way is remembered for a while, and taken on while it cannot be confirmed.
 */
export function createRoutes(options: RoutesOptions): Routes {
  const { name, proxies, clock, http } = options;
  const direct: LogRoute = {
    name: options.url ?? `https://${name}`,
    url: new URL(options.url ?? `https://${name}`),
    http,
  };
  const searches = new Singleflight<LogRoute>();
  let known: { readonly route: LogRoute; readonly until: number } | undefined;

  return {
    async find(context) {
      if (options.url !== undefined || proxies.length === 0) return direct;
      if (known !== undefined && clock.now() < known.until) return known.route;
      return searches.run("", () => confirm(context));
    },
  };

  async function confirm(context: FetchContext): Promise<LogRoute> {
    let route: LogRoute;
    try {
      route = await search(context);
    } catch (error) {
      if (known === undefined) throw error;
      ({ route } = known);
    }
    known = { route, until: clock.now() + options.routeTtlMs };
    return route;
  }

  async function search(context: FetchContext): Promise<LogRoute> {
    let failure: SluiceError | undefined;
    for (const proxy of proxies) {
      const route = routeThrough(proxy);
      try {
        await options.probe(route, context);
        return route;
      } catch (error) {
        if (!isSluiceError(error) || error.code === "cancelled") throw error;
        if (error.code === "not_found") continue;
        failure = error;
        if (!proxy.fallBackOnError) throw failure;
      }
    }
    if (failure !== undefined && !options.endsDirect) throw failure;
    return direct;
  }

  function routeThrough({ name: proxyName, url, ...rest }: LogProxy): LogRoute {
    const through = new URL(url);
    through.pathname = `${url.pathname.replace(/\/$/, "")}/sumdb/${name}`;
    return { name: proxyName, url: through, credentials: rest.credentials, http: rest.http };
  }
}
