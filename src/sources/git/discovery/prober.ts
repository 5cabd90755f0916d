import { isSluiceError, type SluiceError } from "../../../core/errors.ts";
import type { Clock, FetchContext } from "../../../core/ports.ts";
import { FreshCache, type FreshTimes } from "./fresh-cache.ts";
import type { ProbeRepository } from "./location.ts";

export interface ProberOptions {
  readonly probe: ProbeRepository;
  readonly clock: Clock;
  readonly times: FreshTimes;
  readonly isNamedHost: (hostname: string) => boolean;
  /** For one question to a host. Default 30 s. */
  readonly timeoutMs?: number;
}

/** Finds out by asking git hosts at which of several URLs a repository is, and remembers it. */
export interface Prober {
  /**
   * The remote of a repository whose URL lacks a scheme, or undefined when its host says that there is none. Fails as the probe when
   * the host could not tell.
   */
  schemeOf(
    repo: string,
    question: { readonly insecure: boolean; readonly context: FetchContext },
  ): Promise<string | undefined>;
  /** The first of the URLs at which a repository is; those known to be one before all others. Undefined when all are known not to be. */
  firstRepository(urls: readonly string[], context: FetchContext): Promise<string | undefined>;
}

interface Failure {
  readonly url: string;
  readonly error: SluiceError;
}

interface Probed {
  readonly denied: readonly string[];
  readonly failures: readonly Failure[];
}

interface FirstOptions {
  readonly context: FetchContext;
  /** Whether a failure hides that one of the others may be there. */
  readonly isDecisive: (probed: Probed) => boolean;
  /** Failures after which no other one is asked for. */
  readonly endsAt?: (error: SluiceError) => boolean;
}

/** In go's order. */
const secureSchemes = ["https", "git+ssh", "ssh"];
const allSchemes = ["git", "https", "http", "git+ssh", "ssh"];

export function createProber({ probe, clock, times, isNamedHost, timeoutMs = 30_000 }: ProberOptions): Prober {
  const repositories = new FreshCache<boolean>({
    clock,
    times,
    name: (url) => url,
    isPositive: (exists) => exists,
    maxEntries: 20_000,
  });

  return {
    async schemeOf(repo, { insecure, context }) {
      const [host = ""] = repo.split("/", 1);
      const schemes = (insecure ? allSchemes : secureSchemes).filter(
        // A host that the configuration does not name has no key here, so SSH can come to nothing.
        (scheme) => isNamedHost(host) || !scheme.endsWith("ssh"),
      );
      return first(
        schemes.map((scheme) => `${scheme}://${repo}`),
        { context, isDecisive: hidesRepository },
      );
    },
    async firstRepository(urls, context) {
      const known = urls.find((url) => repositories.known(url) === true);
      const ordered = known === undefined ? urls : [known, ...urls.filter((url) => url !== known)];
      return first(ordered, {
        context,
        isDecisive: () => true,
        // They are all on one host: one that is down is not asked a dozen times.
        endsAt: ({ code }) => code !== "upstream_refused",
      });
    },
  };

  async function first(
    urls: readonly string[],
    { context, isDecisive, endsAt = () => false }: FirstOptions,
  ): Promise<string | undefined> {
    const denied: string[] = [];
    const failures: Failure[] = [];
    for (const url of urls) {
      try {
        if (await exists(url, context)) return url;
        denied.push(url);
      } catch (error) {
        if (!isSluiceError(error) || context.signal.aborted) throw error;
        if (endsAt(error)) throw error;
        failures.push({ url, error });
      }
    }
    const [failure] = failures;
    if (failure !== undefined && isDecisive({ denied, failures })) throw failure.error;
    return undefined;
  }

  function exists(url: string, { signal, client, notBefore }: FetchContext): Promise<boolean> {
    const load = (): Promise<boolean> => probe(url, { signal: AbortSignal.timeout(timeoutMs), client });
    return repositories.get({ key: url, load, signal, notBefore });
  }
}

/**
 * A host may be deaf for good over one protocol, so that a "no" over another one is its answer. Not where SSH, which is asked only of
 * hosts that the configuration names, may have had another answer.
 */
function hidesRepository({ denied, failures }: Probed): boolean {
  if (!denied.some((url) => url.startsWith("http"))) return true;
  return failures.some(({ url, error }) => /^[^:]*ssh:/.test(url) && error.code !== "upstream_refused");
}
