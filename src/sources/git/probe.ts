import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { createFairQueue, type FairQueueOptions } from "../../net/fair-queue.ts";
import type { HttpClient } from "../../net/http.ts";
import type { GitCommand } from "./command.ts";
import { GitError } from "./process.ts";
import type { AccessRemote } from "./credentials/access.ts";
import type { ProbeContext, ProbeRepository } from "./discovery/location.ts";
import { hostKeyFailure, remoteFailure } from "./failure.ts";
import { runGuarded } from "./guarded-access.ts";

/** The status of a plain GET of an http(s) remote, or undefined when there is no answer. */
export type RemoteStatus = (url: string, signal: AbortSignal) => Promise<number | undefined>;

export interface RepositoryProbeOptions {
  readonly git: GitCommand;
  readonly access: AccessRemote;
  /** The host did not take the credential: it is read anew, and shown once more. */
  readonly onRefused?: (url: string) => void;
  /** Hosts ask anybody for a password where there is no repository; their web page tells. Default: nobody is asked. */
  readonly status?: RemoteStatus | undefined;
  readonly clock: Clock;
  /** Of all hosts together: every question is a process of its own. */
  readonly queue?: Partial<Pick<FairQueueOptions, "concurrency" | "maxWaiting" | "maxWaitMs">>;
}

const timeoutMs = 30_000;
const defaultQueue = { concurrency: 16, maxWaiting: 1_000, maxWaitMs: 20_000 };

/** Asks with `git ls-remote`, as go does, and the credentials of the host. An empty repository is one. */
export function createRepositoryProbe(options: RepositoryProbeOptions): ProbeRepository {
  const { git, onRefused, clock } = options;
  const queue = createFairQueue({ ...defaultQueue, ...options.queue, clock, name: "the search for git repositories" });
  return async (url, question) => {
    await git.check();
    return queue.run(question.client, question.signal, () => askTwice(url, question));
  };

  async function askTwice(url: string, question: ProbeContext): Promise<boolean> {
    try {
      return await ask(url, question, options);
    } catch (error) {
      if (!isSluiceError(error, "upstream_refused") || error.details["hasCredential"] !== true) throw error;
      if (onRefused === undefined) throw error;
      onRefused(url);
      return ask(url, question, options);
    }
  }
}

async function ask(
  url: string,
  { signal, isPrivate = false, entitlement = "none" }: ProbeContext,
  { git, access, status }: RepositoryProbeOptions,
): Promise<boolean> {
  const given = await access(url, entitlement);
  const { hasCredential, dispose, explainHostKey } = given;
  const scheme = url.slice(0, url.indexOf(":"));
  try {
    const args = ["ls-remote", "-q", "--end-of-options", url, "HEAD"];
    await runGuarded(git, given, { args, scheme, signal, timeoutMs });
    return true;
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    const failure =
      (await hostKeyFailure(error, { url, explain: explainHostKey, signal })) ??
      remoteFailure(error, { url, hasCredential });
    if (failure.code === "not_found") return false;
    // Of a private one strangers hear the same where it is: that its credential is missing must not look like absence.
    const mayBeAbsent =
      failure.code === "upstream_refused" && !hasCredential && !isPrivate && scheme.startsWith("http");
    const answer = mayBeAbsent ? await status?.(url, signal) : undefined;
    if (answer === 404 || answer === 410) return false;
    throw failure;
  } finally {
    await dispose();
  }
}

export interface RemoteStatusOptions {
  readonly http: HttpClient;
  /** Hosts that may have an address within this network, of `createNamedHosts`. */
  readonly isNamedHost: (hostname: string) => boolean;
}

/** No credential goes along: it is asked only where there is none. */
export function createRemoteStatus({ http, isNamedHost }: RemoteStatusOptions): RemoteStatus {
  return async (url, signal) => {
    const target = URL.parse(url);
    if (target === null) return undefined;
    try {
      const response = await http.get({
        url: target,
        signal,
        maxBytes: Number.MAX_SAFE_INTEGER,
        mayBePrivate: isNamedHost,
      });
      response.discard();
      return response.status;
    } catch (error) {
      if (error instanceof SluiceError) return undefined;
      throw error;
    }
  };
}
