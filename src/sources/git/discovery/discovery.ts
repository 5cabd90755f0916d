import { isSluiceError, SluiceError } from "../../../core/errors.ts";
import type { Clock, FetchContext } from "../../../core/ports.ts";
import type { HttpClient } from "../../../net/http.ts";
import type { ModulePath } from "../../../protocol/brand.ts";
import { matchPrefixPatterns } from "../../../protocol/module/index.ts";
import { goQuote } from "../../../protocol/quote.ts";
import type { EntitlementOf } from "../credentials/entitlement.ts";
import { findDynamic } from "./dynamic.ts";
import { defaultTimes, type FreshTimes } from "./fresh-cache.ts";
import { createVcsRules } from "./govcs.ts";
import type { Discovery, ProbeContext, ProbeRepository, RepoLocation } from "./location.ts";
import { createOverrides, type OverrideAnswer, type RepoOverride } from "./overrides.ts";
import { createPages, type HttpCredentials } from "./pages.ts";
import { createProber, type Prober } from "./prober.ts";
import { checkRemote } from "./remote.ts";
import { findStatic } from "./static-hosts.ts";

export interface DiscoveryOptions {
  /** Stays the caller's. */
  readonly http: HttpClient;
  readonly clock: Clock;
  /** `git ls-remote`, with the credentials of its host. */
  readonly probe: ProbeRepository;
  /** Which credentials the probe may use. Default: none. */
  readonly entitlementOf?: EntitlementOf | undefined;
  /** Hosts that may have an address within this network, of `createNamedHosts`. */
  readonly isNamedHost: (hostname: string) => boolean;
  /** What every other remote has to pass, of `createAddressGuard`. */
  readonly checkAddress: (url: URL) => Promise<unknown>;
  /** Decide before anything else, the first that matches. GOVCS does not apply to them. Default: none. */
  readonly overrides?: readonly RepoOverride[] | undefined;
  /** GOPRIVATE, for GOVCS. Default: empty. */
  readonly privatePatterns?: string | undefined;
  /** GOINSECURE. Default: empty. */
  readonly insecurePatterns?: string | undefined;
  /** GOVCS. Default: empty, which is `private:all,public:git|hg`. */
  readonly govcs?: string | undefined;
  /** For pages of meta tags. Default: none. */
  readonly credentials?: HttpCredentials | undefined;
  /** How long answers are remembered. */
  readonly times?: Partial<FreshTimes> | undefined;
  /** See `PagesOptions`. */
  readonly pages?: { readonly attempts?: number; readonly timeoutMs?: number } | undefined;
}

/** Systems that go drives and Sluice does not. */
const otherSystems: Readonly<Record<string, string>> = {
  hg: "Mercurial",
  svn: "Subversion",
  bzr: "Bazaar",
  fossil: "Fossil",
};

/**
 * Where a module comes from, as the go command finds it (SPEC §4): the configuration's table, hosts whose paths tell, then the meta
 * tags of the module path's host. Fails with `config_invalid` on a GOVCS or an override that is malformed.
 */
export function createDiscovery(options: DiscoveryOptions): Discovery {
  const { clock, isNamedHost, insecurePatterns = "", privatePatterns = "" } = options;
  const times = { ...defaultTimes, ...options.times };
  const overrides = createOverrides(options.overrides ?? []);
  const vcsRules = createVcsRules(options.govcs ?? "", privatePatterns);
  const pages = createPages({
    ...options.pages,
    http: options.http,
    clock,
    times,
    isNamedHost,
    credentials: options.credentials,
  });
  const newProber = (asker: Pick<ProbeContext, "isPrivate" | "entitlement">): Prober =>
    createProber({ probe: (url, context) => options.probe(url, { ...context, ...asker }), clock, times, isNamedHost });
  // What one of them hears is no answer for another one, which shows other credentials.
  const privateProber = newProber({ isPrivate: true, entitlement: "all" });
  const publicProbers = {
    all: newProber({ entitlement: "all" }),
    netrc: newProber({ entitlement: "netrc" }),
    none: newProber({ entitlement: "none" }),
  };
  const proberFor = (modulePath: ModulePath, url: string): Prober =>
    matchPrefixPatterns(privatePatterns, modulePath)
      ? privateProber
      : publicProbers[options.entitlementOf?.(modulePath, url) ?? "none"];

  return {
    async find(modulePath, context) {
      const override = overrides.match(modulePath);
      const location =
        override === undefined
          ? await findOut(modulePath, context)
          : await followOverride(override, modulePath, context);
      if (modulePath.includes("...") && location.root.includes("...")) {
        throw notFound(`cannot expand ... in ${goQuote(modulePath)}`);
      }
      return location;
    },
  };

  async function followOverride(
    answer: OverrideAnswer,
    modulePath: ModulePath,
    context: FetchContext,
  ): Promise<RepoLocation> {
    if (answer.kind === "mismatch") throw notFound(`mismatched repo: found ${answer.root} for ${modulePath}`);
    if (answer.kind === "above") {
      throw unrecognized(
        modulePath,
        `it is above all repositories of ${goQuote(answer.pattern)} in Sluice's configuration`,
      );
    }
    const locations = answer.kind === "location" ? [answer.location] : answer.locations;
    const [first] = locations;
    if (first !== undefined && answer.hasForeignHost) await guard(modulePath, first.url);
    if (first !== undefined && answer.kind === "location") return first;
    const url = await proberFor(modulePath, first?.url ?? "").firstRepository(
      locations.map((location) => location.url),
      context,
    );
    const location = locations.find((one) => one.url === url);
    if (location !== undefined) return location;
    const urls = locations.map((one) => one.url).slice(0, 3);
    throw unrecognized(modulePath, `no repository found at ${urls.join(", ")}${locations.length > 3 ? ", …" : ""}`);
  }

  async function findOut(modulePath: ModulePath, context: FetchContext): Promise<RepoLocation> {
    const insecure = matchPrefixPatterns(insecurePatterns, modulePath);
    const answer = findStatic(modulePath);
    if (answer.kind === "invalid") throw notFound(answer.problem);
    if (answer.kind === "unknown") return findByTags(modulePath, { insecure, context });
    checkSystem(modulePath, answer);
    if (answer.kind === "repository") return { vcs: "git", url: answer.url, root: answer.root, subdir: "" };
    await guard(modulePath, `https://${answer.repo}`);
    const url = await proberFor(modulePath, `https://${answer.repo}`).schemeOf(answer.repo, { insecure, context });
    if (url === undefined) throw notFound(`no ${insecure ? "" : "secure "}protocol found for repository`);
    return { vcs: "git", url, root: answer.root, subdir: "" };
  }

  async function findByTags(
    modulePath: ModulePath,
    { insecure, context }: { insecure: boolean; context: FetchContext },
  ): Promise<RepoLocation> {
    const answer = await findDynamic(
      pages,
      {
        importPath: modulePath,
        insecure,
        notBefore: context.notBefore,
        freshSince: Math.max(context.notBefore ?? 0, clock.now() - times.negativeMs),
      },
      context,
    ).catch((error: unknown) => {
      throw lookingFor(modulePath, error);
    });
    if (answer.kind === "nothing") throw unrecognized(modulePath, answer.problem);
    const { found, url: page } = answer;
    const { vcs, prefix: root, subdir } = found;
    if (vcs !== "git" && vcs !== "mod" && !Object.hasOwn(otherSystems, vcs)) {
      throw unrecognized(modulePath, `${page}: unknown vcs ${goQuote(vcs)}`);
    }
    checkSystem(modulePath, { vcs, root });
    const remote = checkRemote(found.url, { insecure, vcs: vcs === "mod" ? "mod" : "git" });
    if ("refusal" in remote) {
      const { kind, problem } = remote.refusal;
      if (kind === "invalid") throw unrecognized(modulePath, `${page}: ${problem}`);
      if (kind === "local") throw notFound(problem);
      throw refused(`${modulePath}: the repository that ${page} names is not used: ${problem}`);
    }
    await guard(modulePath, remote.url);
    return vcs === "mod" ? { vcs, url: remote.url, root } : { vcs: "git", url: remote.url, root, subdir };
  }

  /** Before git goes to a host that the configuration does not name. */
  async function guard(modulePath: ModulePath, remote: string): Promise<void> {
    const url = URL.parse(remote);
    if (url === null) throw unrecognized(modulePath, `invalid host name in ${goQuote(remote)}`);
    if (isNamedHost(url.hostname)) return;
    await options.checkAddress(url).catch((error: unknown) => {
      throw lookingFor(modulePath, error);
    });
  }

  function checkSystem(modulePath: ModulePath, { vcs, root }: { readonly vcs: string; readonly root: string }): void {
    const other = otherSystems[vcs];
    if (other !== undefined) {
      throw refused(
        `${modulePath}: its repository ${root} is in ${other} (${vcs}), which is not supported; use a git repository for it, or an upstream GOPROXY that has the module`,
      );
    }
    // A GOPROXY involves no version control system.
    const refusal = vcs === "mod" ? undefined : vcsRules.refusal(vcs, root);
    if (refusal !== undefined) throw refused(refusal);
  }
}

function unrecognized(modulePath: ModulePath, reason: string): SluiceError {
  return notFound(`unrecognized import path ${goQuote(modulePath)}: ${reason}`);
}

function notFound(message: string): SluiceError {
  return new SluiceError("not_found", message);
}

function refused(message: string): SluiceError {
  return new SluiceError("upstream_refused", message, { details: { permanent: true } });
}

/** The failure of a host, and what it was asked for. Not in go's words, which would say that the path is wrong. */
function lookingFor(modulePath: ModulePath, error: unknown): unknown {
  if (!isSluiceError(error) || error.code === "cancelled") return error;
  return new SluiceError(error.code, `looking for the repository of ${modulePath}: ${error.message}`, {
    cause: error,
    details: error.details,
    retryAfterSeconds: error.retryAfterSeconds,
  });
}
