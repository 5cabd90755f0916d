import { isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, FetchContext, MadeZip, Source, SourceResponse } from "../../core/ports.ts";
import { givenUp } from "../../net/given-up.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { blobKey, formatInfo, formatList, type ModuleInfo, type ModuleRequest } from "../../protocol/goproxy/index.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { checkModuleVersion } from "../../protocol/module/index.ts";
import { defaultMaxBytes } from "../limits.ts";
import type { Archiver } from "./archive.ts";
import { GitError } from "./process.ts";
import type { Entitlement, EntitlementOf } from "./credentials/entitlement.ts";
import { remoteFailure } from "./failure.ts";
import type { Discovery } from "./discovery/location.ts";
import type { Mirrors } from "./mirror.ts";
import type { Pins } from "./pins.ts";
import type { MirrorView } from "./repository-mirror.ts";
import { moduleLayout } from "./resolve/layout.ts";
import { GitModule, type ResolvedVersion } from "./resolve/module.ts";
import { Refusal } from "./resolve/refusal.ts";

export interface GitSourceOptions {
  /** Printable, such as `direct`. */
  readonly name: string;
  readonly discovery: Discovery;
  /** Stay the caller's, as does everything else here. */
  readonly mirrors: Mirrors;
  /** Of the modules that a private pattern matches. Default: none. */
  readonly isPrivate?: ((modulePath: ModulePath) => boolean) | undefined;
  readonly archiver: Archiver;
  readonly pins: Pins;
  /** A GOPROXY that a module's host names in place of a repository. */
  readonly openProxy: (url: string, entitlement: Entitlement) => Source;
  /** Which credentials a module's remote may be shown. Default: none. */
  readonly entitlementOf?: EntitlementOf | undefined;
  readonly events: Events;
  readonly clock: Clock;
}

/** A mirror that breaks, or a host that changes while it is looked at, is worth this many tries altogether. */
const maxTries = 3;

interface Body {
  readonly size: number;
  readonly made?: MadeZip | undefined;
  readonly bytes: AsyncIterable<Uint8Array>;
  dispose?(): Promise<void>;
}

/**
 * Modules straight from their repositories, as `GOPROXY=direct go` makes them and without go. What the repository does not have,
 * or go would refuse, is `not_found` in go's words. A version that was served stays at its commit.
 */
export function createGitSource(options: GitSourceOptions): Source {
  const { name, discovery, mirrors, openProxy, events, clock, isPrivate = () => false } = options;
  const { entitlementOf = () => "none" } = options;
  return {
    name,
    async fetch<T>(
      request: ModuleRequest,
      receive: (response: SourceResponse) => Promise<T>,
      context: FetchContext,
    ): Promise<T> {
      if (context.signal.aborted) throw givenUp(context.signal, name);
      const startedAt = clock.now();
      const location = await discovery.find(request.modulePath, context);
      const entitlement = entitlementOf(request.modulePath, location.url);
      if (location.vcs === "mod") {
        // A proxy, but one that the module's own host chose.
        const receiveDirect = (response: SourceResponse): Promise<T> => receive({ ...response, isDirect: true });
        return openProxy(location.url, entitlement).fetch(request, receiveDirect, context);
      }
      let firstByteMs: number | undefined;
      let failure: Error | undefined;
      try {
        const body = await withTries(
          location.url,
          () => mirrors.open(location.url, { ...context, entitlement, isPrivate: isPrivate(request.modulePath) }),
          (repo) => {
            const module = new GitModule(repo, moduleLayout(request.modulePath, location));
            return bodyOf(request, { options, repo, module, context });
          },
        );
        firstByteMs = clock.now() - startedAt;
        try {
          const bytes = untilAborted(body.bytes, context.signal, name);
          return await receive({ source: name, size: body.size, made: body.made, isDirect: true, body: bytes });
        } finally {
          await body.dispose?.();
        }
      } catch (error) {
        failure = error instanceof Error ? error : undefined;
        throw error;
      } finally {
        const outcome = failure === undefined ? "ok" : isSluiceError(failure) ? failure.code : "internal";
        const facts = { attempt: 1, outcome, status: undefined, firstByteMs, durationMs: clock.now() - startedAt };
        events.emit({ type: "upstream_attempt", upstream: name, key: blobKey(request), ...facts, error: failure });
      }
    },
    async close() {},
  };
}

/** Does all of the work again where the mirror says that this helps, and puts what is left into words. */
async function withTries<T>(url: string, open: () => MirrorView, work: (repo: MirrorView) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const repo = open();
    try {
      return await work(repo);
    } catch (error) {
      if (attempt < maxTries && (await repo.recover(error))) continue;
      if (error instanceof Refusal) {
        throw new SluiceError("not_found", `not found: ${error.message}`, {
          cause: error,
          details: { upstream: url, reason: error.message },
        });
      }
      // It was our own copy that git failed with; the host's part is put into words where it is talked to.
      if (error instanceof GitError) throw remoteFailure(error, { url, hasCredential: false });
      throw error;
    } finally {
      repo.close();
    }
  }
}

interface Work {
  readonly options: GitSourceOptions;
  readonly repo: MirrorView;
  readonly module: GitModule;
  readonly context: FetchContext;
}

async function bodyOf(request: ModuleRequest, work: Work): Promise<Body> {
  const { module, options } = work;
  if (request.kind === "zip") return zipBody(request, work);
  if (request.kind !== "list") options.archiver.prepare();
  switch (request.kind) {
    case "list":
      return textBody(request, formatList(await module.list()));
    case "latest":
      return textBody(request, formatInfo(await served(request.modulePath, await module.latest(), work)));
    case "query":
      return textBody(request, formatInfo(await served(request.modulePath, await module.stat(request.query), work)));
    case "info":
      return textBody(request, formatInfo((await pinnedVersion(request, work)).info));
    case "mod":
      break;
  }
  const { version, commit } = await pinnedVersion(request, work);
  return bytesBody(request, (await module.files(version, commit)).servedGoMod);
}

async function zipBody(request: Extract<ModuleRequest, { kind: "zip" }>, work: Work): Promise<Body> {
  const { repo, module, options, context } = work;
  const { modulePath } = request;
  const { version, commit } = await pinnedVersion(request, work);
  const { dir } = await module.files(version, commit);
  const license = dir === "" ? undefined : await module.rootLicense(commit);
  const zip = await options.archiver
    .zip(
      {
        gitDir: repo.folder,
        commit,
        modulePath,
        version,
        dir,
        license,
        files: () => repo.moduleTree(commit, dir),
      },
      context.signal,
    )
    .catch((error: unknown) => {
      if (error instanceof Refusal) throw new Refusal(`${modulePath}@${version}: ${error.message}`);
      throw error;
    });
  return { size: zip.size, made: zip.made, bytes: zip.bytes(), dispose: () => zip.dispose() };
}

/** A version by its name: the commit it was first served from, else the one that its tag, or its own hash, says. */
async function pinnedVersion(
  request: { readonly modulePath: ModulePath; readonly version: Version },
  work: Work,
): Promise<ResolvedVersion> {
  const { options, repo, module } = work;
  const { modulePath, version } = request;
  checkVersion(modulePath, version);
  const pin = await options.pins.find(modulePath, version);
  const hash = pinnedHash(pin);
  if (pin !== undefined && hash !== undefined) {
    const commit = await repo.pinned(hash);
    if (commit !== undefined) return { version, commit: commit.hash, info: pin };
    throw new SluiceError(
      "integrity",
      `${modulePath}@${version} was served from commit ${hash}, which ${repo.url} does not have any more`,
      { details: { upstream: repo.url } },
    );
  }
  const resolved = await module.stat(version);
  const kept = await options.pins.keep(modulePath, resolved.info, options.name);
  const keptHash = pinnedHash(kept);
  if (keptHash === undefined || keptHash === resolved.commit) return resolved;
  return pinnedVersion(request, work);
}

/** Whoever made the stored `.info`, an upstream perhaps, wrote there what it liked: only a whole hash is one. */
function pinnedHash(pin: ModuleInfo | undefined): string | undefined {
  const hash = pin?.origin?.hash;
  return hash !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(hash) ? hash : undefined;
}

/** What a query led to. Where that is a version that was pinned to another commit, its tag was moved, and the pin counts. */
async function served(modulePath: ModulePath, found: ResolvedVersion, work: Work): Promise<ModuleInfo> {
  const { options, repo, module } = work;
  const pin = await options.pins.find(modulePath, found.version);
  const from = pinnedHash(pin);
  if (pin === undefined || from === undefined || from === found.commit) return found.info;
  const tag = module.tagOf(found.version) ?? found.version;
  options.events.emit({ type: "tag_moved", repository: repo.url, tag, from, to: found.commit });
  return pin;
}

function checkVersion(modulePath: ModulePath, version: Version): void {
  try {
    checkModuleVersion(modulePath, version);
  } catch (error) {
    if (error instanceof ProtocolError) throw new Refusal(error.message);
    throw error;
  }
}

function textBody(request: ModuleRequest, text: string): Body {
  return bytesBody(request, Buffer.from(text));
}

function bytesBody(request: ModuleRequest, bytes: Uint8Array): Body {
  const limit = defaultMaxBytes[request.kind];
  if (bytes.length > limit) throw new Refusal(`${blobKey(request)} has ${bytes.length} bytes, more than ${limit}`);
  return { size: bytes.length, bytes: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* untilAborted(
  bytes: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  name: string,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    if (signal.aborted) throw givenUp(signal, name);
    yield chunk;
  }
  if (signal.aborted) throw givenUp(signal, name);
}
