import type { HttpClient } from "../../net/http.ts";
import type { GitCommand, GitRun } from "./command.ts";
import { GitError } from "./process.ts";
import type { AccessRemote } from "./credentials/access.ts";
import type { GitAccess } from "./remote-host.ts";

export interface GuardedAccessOptions {
  readonly access: AccessRemote;
  /** Hosts that may have an address within this network, of `createNamedHosts`. */
  readonly isNamedHost: (hostname: string) => boolean;
  /** Of `createAddressGuard`: fails for a host with an address within this network. */
  readonly addressesOf: (url: URL) => Promise<readonly string[] | undefined>;
  /** Finds out where a redirect leads; its own guard checks every hop. */
  readonly http: HttpClient;
}

type Setting = readonly [key: string, value: string];

/**
 * Access to hosts that a client or a stranger named. Git would resolve their names itself, and follow a redirect to anywhere: it is
 * told the addresses that were checked, and to follow none. Hosts that the configuration names are accessed as they are.
 */
export function createGuardedAccess(options: GuardedAccessOptions): AccessRemote {
  const { access, isNamedHost, addressesOf } = options;
  return async (url, entitlement) => {
    const remote = URL.parse(url);
    if (remote === null || isNamedHost(remote.hostname)) return access(url, entitlement);
    const settings = settingsFor(remote, await addressesOf(remote));
    const given = await access(url, entitlement);
    return {
      ...given,
      env: withSettings(given.env, settings, remote),
      redirected: (signal) => followRedirect(url, { given, signal, options }),
    };
  };
}

/** Runs git with a remote. A redirect that git must not follow is followed by ourselves, and git runs again where it leads. */
export async function runGuarded(git: GitCommand, { env, redirected }: GitAccess, run: GitRun): Promise<Buffer> {
  try {
    return await git.run({ ...run, env });
  } catch (error) {
    if (!(error instanceof GitError) || !/returned error: 30[12378]\b/.test(error.stderr)) throw error;
    const elsewhere = await redirected?.(run.signal);
    if (elsewhere === undefined) throw error;
    return git.run({ ...run, ...elsewhere });
  }
}

interface Following {
  readonly given: GitAccess;
  readonly signal: AbortSignal;
  readonly options: GuardedAccessOptions;
}

const refsQuery = "/info/refs?service=git-upload-pack";

/** Without credentials: those of the host that redirects are not for the one that it redirects to. */
async function followRedirect(
  url: string,
  { given, signal, options }: Following,
): Promise<Pick<GitRun, "env" | "scheme"> | undefined> {
  const { http, isNamedHost, addressesOf } = options;
  const question = new URL(`${url.replace(/\/+$/, "")}${refsQuery}`);
  const response = await http.get({
    url: question,
    signal,
    maxBytes: Number.MAX_SAFE_INTEGER,
    mayBePrivate: isNamedHost,
  });
  response.discard();
  // As git: a page that says where the repository moved to leaves the question as it is.
  if (!response.url.href.endsWith(refsQuery) || response.url.href === question.href) return undefined;
  const base = new URL(response.url.href.slice(0, -refsQuery.length));
  base.username = "";
  base.password = "";
  const settings = isNamedHost(base.hostname) ? noRedirects : settingsFor(base, await addressesOf(base));
  return {
    env: withSettings(given.env, [...settings, [`url.${base.href}.insteadOf`, url]], base),
    scheme: base.protocol.slice(0, -1),
  };
}

const noRedirects: readonly Setting[] = [["http.followRedirects", "false"]];

function settingsFor(remote: URL, addresses: readonly string[] | undefined): readonly Setting[] {
  const isHttp = /^https?:$/.test(remote.protocol);
  if (addresses === undefined) return noRedirects;
  const shown = addresses.map((address) => (address.includes(":") ? `[${address}]` : address));
  // It has no way to be told an address but in place of the name.
  if (remote.protocol === "git:") {
    const port = remote.port === "" ? "" : `:${remote.port}`;
    return [[`url.git://${shown[0]}${port}/.insteadOf`, `git://${remote.host}/`]];
  }
  if (!isHttp) return noRedirects;
  const port = remote.port === "" ? (remote.protocol === "https:" ? "443" : "80") : remote.port;
  return [
    ...noRedirects,
    // Were there a proxy, the name would be resolved there, and no address were known here.
    ["http.proxy", ""],
    // The name may be written in another way in the address that git is given, so that the pattern for all names stands behind it.
    ...[remote.hostname, "*"].map((name) => ["http.curloptResolve", `${name}:${port}:${shown.join(",")}`] as const),
  ];
}

/** Behind those that are in the environment already. */
function withSettings(
  env: Readonly<Record<string, string>>,
  settings: readonly Setting[],
  remote: URL,
): Record<string, string> {
  const first = Number(env["GIT_CONFIG_COUNT"] ?? 0);
  const more = settings.flatMap(([key, value], index) => [
    [`GIT_CONFIG_KEY_${first + index}`, key],
    [`GIT_CONFIG_VALUE_${first + index}`, value],
  ]);
  return {
    ...env,
    ...Object.fromEntries(more),
    GIT_CONFIG_COUNT: String(first + settings.length),
    ...(remote.protocol === "git:" ? { GIT_OVERRIDE_VIRTUAL_HOST: remote.host } : {}),
  };
}
