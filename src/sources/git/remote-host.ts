import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import type { FairQueue } from "../../net/fair-queue.ts";
import type { GitCommand, GitRun } from "./command.ts";
import { GitError } from "./process.ts";
import { runGuarded } from "./guarded-access.ts";
import { hostKeyFailure, isDamage, remoteFailure } from "./failure.ts";

/** How a host is talked to: credentials and certificates in git's environment, never in its arguments. */
export interface GitAccess {
  readonly env: Readonly<Record<string, string>>;
  readonly hasCredential: boolean;
  /** Takes away what was made for it, such as a key file. */
  readonly dispose: () => Promise<void>;
  /**
   * For a host whose redirects git must not follow: where this one leads, and what git needs to go there. Undefined when it leads to
   * no repository; fails when that is not to be talked to.
   */
  readonly redirected?: ((signal: AbortSignal) => Promise<Pick<GitRun, "env" | "scheme"> | undefined>) | undefined;
  /** For SSH: why the host's key was refused, with its fingerprint and what to do. Undefined when that cannot be found out. */
  readonly explainHostKey?: ((signal: AbortSignal) => Promise<string | undefined>) | undefined;
}

export interface RemoteHostOptions {
  /** Without user info, but for SSH's user name. */
  readonly url: string;
  readonly git: GitCommand;
  readonly access: (url: string) => Promise<GitAccess>;
  /** The host did not take the credential: it is read anew, and shown once more. */
  readonly onRefused?: (url: string) => void;
  /** The status of a plain GET of an http(s) remote that git could not read. Undefined when there is no answer. */
  readonly probe?: ((url: string, signal: AbortSignal) => Promise<number | undefined>) | undefined;
  readonly events: Events;
  readonly clock: Clock;
  /** Of all hosts together. */
  readonly queue: FairQueue;
  /** Of what nobody waits for. Default: `queue`. */
  readonly aheadQueue?: FairQueue | undefined;
  readonly closing: AbortSignal;
}

export interface RemoteRun {
  readonly args: readonly string[];
  /** Whose turn it takes. */
  readonly client: string;
  readonly gitDir?: string | undefined;
  readonly input?: string | undefined;
  readonly timeoutMs: number;
  /** Default: it goes on until Sluice is closing. */
  readonly signal?: AbortSignal | undefined;
  readonly onStart?: ((pid: number) => void) | undefined;
}

/** Branches and tags; single commits; everything; commits that nobody asked for yet. */
type Kind = "refs" | "tips" | "history" | "ahead";

const probeTimeoutMs = 30_000;

/** One remote, and what its answers mean. Every word with it goes through here. */
export class RemoteHost {
  readonly #parts: RemoteHostOptions;
  #isPrivate = false;

  constructor(parts: RemoteHostOptions) {
    this.#parts = parts;
  }

  /** Printable. */
  get url(): string {
    return this.#parts.url;
  }

  /** A private module is in it: who gets no access is to hear that, whatever the host tells strangers. */
  markPrivate(): void {
    this.#isPrivate = true;
  }

  /** Fails with a `SluiceError`, or with `GitError` where it is our own copy that is damaged. */
  run(kind: Kind, run: RemoteRun): Promise<Buffer> {
    const { url, queue, aheadQueue = queue, closing, onRefused } = this.#parts;
    return (kind === "ahead" ? aheadQueue : queue).run(run.client, run.signal ?? closing, async () => {
      try {
        return await this.#runOnce(kind, run);
      } catch (error) {
        // A secret may have been changed since it was read.
        if (!isSluiceError(error, "upstream_refused") || error.details["hasCredential"] !== true) throw error;
        if (onRefused === undefined) throw error;
        onRefused(url);
        return this.#runOnce(kind, run);
      }
    });
  }

  /** With its credential, told as an event. */
  async #runOnce(kind: Kind, run: RemoteRun): Promise<Buffer> {
    const { git, url, closing, access, events, clock } = this.#parts;
    const startedAt = clock.now();
    const given = await access(url);
    const { hasCredential, dispose, explainHostKey } = given;
    let outcome = "ok";
    try {
      return await runGuarded(git, given, {
        args: run.args,
        gitDir: run.gitDir,
        input: run.input,
        scheme: url.slice(0, url.indexOf(":")),
        signal: run.signal ?? closing,
        timeoutMs: run.timeoutMs,
        onStart: run.onStart,
      });
    } catch (error) {
      const told =
        (await hostKeyFailure(error, { url, explain: explainHostKey, signal: closing })) ??
        (await this.#tellFailure(error, hasCredential));
      outcome = isSluiceError(told) ? told.code : "damaged";
      throw told;
    } finally {
      await dispose();
      const durationMs = clock.now() - startedAt;
      events.emit({ type: "git_fetch", repository: url, kind, outcome, durationMs });
    }
  }

  async #tellFailure(error: unknown, hasCredential: boolean): Promise<unknown> {
    const { url, probe, closing } = this.#parts;
    if (!(error instanceof GitError) || isDamage(error)) return error;
    const failure = remoteFailure(error, { url, hasCredential });
    if (this.#isPrivate) return failure;
    // Hosts ask anybody for a password where there is no such repository. As go: their web page tells.
    if (failure.code !== "upstream_refused" || hasCredential || !/^https?:/.test(url) || probe === undefined)
      return failure;
    const limit = AbortSignal.any([closing, AbortSignal.timeout(probeTimeoutMs)]);
    if (!(await this.#hostDenies(probe(url, limit)))) return failure;
    return new SluiceError("not_found", `${url}: the host says that there is no such repository`, {
      cause: error,
      details: { upstream: url },
    });
  }

  async #hostDenies(status: Promise<number | undefined>): Promise<boolean> {
    try {
      return [404, 410].includes((await status) ?? 0);
    } catch {
      // Then what git said is all that is known.
      return false;
    }
  }
}
