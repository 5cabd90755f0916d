import { isSluiceError, SluiceError } from "../../../core/errors.ts";
import type { Clock, FetchContext } from "../../../core/ports.ts";
import { createFairQueue } from "../../../net/fair-queue.ts";
import type { HttpClient, HttpResponse } from "../../../net/http.ts";
import { parseRetryAfter, withRetry } from "../../../net/retry.ts";
import { FreshCache, type FreshTimes } from "./fresh-cache.ts";
import { type GoImport, parseMetaTags } from "./meta-tags.ts";

/** What a host answers to `https://<import path>?go-get=1`. */
export type Page =
  | { readonly kind: "imports"; readonly url: string; readonly imports: readonly GoImport[] }
  /** The host has nothing to say about the path: no tags, a page that is no markup, or a status by which it says so. */
  | {
      readonly kind: "nothing";
      readonly url: string;
      readonly reason: "empty" | "markup" | "status";
      readonly text: string;
    };

export interface PagesOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly times: FreshTimes;
  /** Hosts that may be within this network. */
  readonly isNamedHost: (hostname: string) => boolean;
  /** For a page of https. */
  readonly credentials?: HttpCredentials | undefined;
  /** Times a page is asked for while its host fails. Default 3. */
  readonly attempts?: number | undefined;
  /** For all attempts together. Default 45 s. */
  readonly timeoutMs?: number | undefined;
}

/** Credentials for Basic authorization at a URL. */
export type HttpCredentials = (
  url: URL,
) => Promise<{ readonly username: string; readonly password: string } | undefined>;

export interface PageQuestion {
  /** GOINSECURE: any certificate will do, and http where https fails. */
  readonly insecure: boolean;
  /** See `FreshQuestion`. */
  readonly notBefore?: number | undefined;
}

export interface Pages {
  /** Fails with an `upstream_*` code or `overloaded` when the host could not tell. */
  read(importPath: string, question: PageQuestion, context: FetchContext): Promise<Page>;
}

/** Tags stand in the head of a page; whatever has no end of its head by then has none. */
const maxHeadBytes = 1_048_576;
const maxPageBytes = 1_073_741_824;

/** An https server that is not there must not cost much time where http will do. As go has it. */
const impatientMs = 5000;

export function createPages(options: PagesOptions): Pages {
  const { clock, times, timeoutMs = 45_000, attempts = 3 } = options;
  const cache = new FreshCache<Page>({
    clock,
    times,
    name: (key) => key,
    isPositive: ({ kind }) => kind === "imports",
    maxEntries: 10_000,
  });
  const queue = createFairQueue({
    clock,
    name: "go-import discovery",
    concurrency: 32,
    maxWaiting: 2000,
    maxWaitMs: 60_000,
  });

  return {
    read(importPath, { insecure, notBefore }, { signal, client }) {
      const key = `${insecure ? "http" : "https"}://${importPath}`;
      return cache.get({ key, load: () => load(importPath, insecure, client), signal, notBefore });
    },
  };

  async function load(importPath: string, insecure: boolean, client: string): Promise<Page> {
    const signal = AbortSignal.timeout(timeoutMs);
    const ask = (): Promise<Page> => queue.run(client, signal, () => fetchPage(importPath, insecure, signal));
    return withRetry(ask, { clock, signal, name: importPath, attempts, maxElapsedMs: timeoutMs });
  }

  async function fetchPage(importPath: string, insecure: boolean, signal: AbortSignal): Promise<Page> {
    if (!insecure) return get(`https://${importPath}`, { signal, insecure });
    const patience = AbortSignal.any([signal, AbortSignal.timeout(impatientMs)]);
    try {
      return await get(`https://${importPath}`, { signal: patience, insecure });
    } catch (error) {
      if (signal.aborted || !isSluiceError(error)) throw error;
      return get(`http://${importPath}`, { signal, insecure });
    }
  }

  async function get(address: string, { signal, insecure }: { signal: AbortSignal; insecure: boolean }): Promise<Page> {
    const shown = `${address}${address.split("/").length === 3 ? "/" : ""}?go-get=1`;
    const url = URL.parse(shown);
    if (url === null) return { kind: "nothing", url: shown, reason: "status", text: "https fetch: invalid host name" };
    const response = await options.http.get({
      url,
      signal,
      insecure,
      mayBePrivate: options.isNamedHost,
      credentials: url.protocol === "https:" ? await options.credentials?.(url) : undefined,
      maxBytes: maxPageBytes,
    });
    try {
      return await readPage(response, { asked: url, shown });
    } finally {
      response.discard();
    }
  }

  async function readPage(response: HttpResponse, { asked, shown }: { asked: URL; shown: string }): Promise<Page> {
    const { head, failure } = await readHead(response);
    const { imports, problem } = parseMetaTags(head);
    // Some serve their tags on the page that says 404.
    if (imports.length > 0) return { kind: "imports", url: shown, imports };
    if (response.status !== 200) {
      const text = statusText(response, shown, clock.now());
      return { kind: "nothing", url: shown, reason: "status", text };
    }
    if (failure !== undefined) throw failure;
    if (options.isNamedHost(asked.hostname) && wentElsewhere(asked, response.url)) throw perhapsLogin(asked, response);
    if (problem !== undefined) return { kind: "nothing", url: shown, reason: "markup", text: problem };
    return { kind: "nothing", url: shown, reason: "empty", text: "" };
  }
}

/** What came of it before it broke off counts: the tags may be in it. */
async function readHead({ body }: HttpResponse): Promise<{ head: Uint8Array; failure: unknown }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  let failure: unknown;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= maxHeadBytes) break;
    }
  } catch (error) {
    failure = error;
  }
  return { head: Buffer.concat(chunks).subarray(0, maxHeadBytes), failure };
}

/** In go's words for a status that says that there is nothing. Any other is thrown. */
function statusText({ status, url, headers }: HttpResponse, shown: string, now: number): string {
  if (status === 404) return `reading ${shown}: 404 Not Found`;
  if (status === 410) return `reading ${shown}: 410 Gone`;
  const { host } = url;
  const context = {
    details: { host, status },
    retryAfterSeconds: parseRetryAfter(headers["retry-after"], now),
  };
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    throw new SluiceError(
      "upstream_failed",
      `${host}: answered ${status} when asked for go-import meta tags.`,
      context,
    );
  }
  if (status === 401 || status === 403) {
    throw new SluiceError(
      "upstream_refused",
      `${host}: answered ${status} when asked for go-import meta tags. It wants credentials that Sluice does not have.`,
      context,
    );
  }
  const code = status >= 400 ? "upstream_refused" : "upstream_invalid";
  throw new SluiceError(code, `${host}: answered ${status} when asked for go-import meta tags.`, context);
}

function wentElsewhere(asked: URL, arrived: URL): boolean {
  return asked.host !== arrived.host || asked.pathname.replace(/\/$/, "") !== arrived.pathname.replace(/\/$/, "");
}

/** `not_found` would send clients around Sluice with a private name that only lacks a credential here. */
function perhapsLogin({ host }: URL, { url, status }: HttpResponse): SluiceError {
  return new SluiceError(
    "upstream_refused",
    `${host}: redirected to ${url.origin}${url.pathname}, which has no go-import meta tags. If that is a login page, give Sluice a credential for ${host}, or say in the configuration where its repositories are.`,
    { details: { host, status, permanent: true } },
  );
}
