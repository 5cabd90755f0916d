import { SluiceError } from "../../src/core/errors.ts";
import type { SluiceEvent } from "../../src/core/events.ts";
import type { FetchContext, Source, SourceResponse } from "../../src/core/ports.ts";
import { createHttpClient, type HttpClientOptions } from "../../src/net/http-client.ts";
import { type ModuleRequest, parseRequest } from "../../src/protocol/goproxy/index.ts";
import { type HttpEntry, parseChain } from "../../src/sources/chain-spec.ts";
import { createUpstreamSource, type UpstreamSourceOptions } from "../../src/sources/upstream/http.ts";
import { createFakeClock, type FakeClock } from "./fake-clock.ts";

/** An HTTP upstream with a real client, on a clock that does not wait, and all that it reported. */
export interface UpstreamHarness extends AsyncDisposable {
  readonly source: Source;
  readonly clock: FakeClock;
  readonly events: SluiceEvent[];
}

export type HarnessOptions = Partial<UpstreamSourceOptions> & { readonly client?: Partial<HttpClientOptions> };

/** `entry` as in a chain, such as `http://me:secret@127.0.0.1:1234/go`. Four attempts, if nothing else is said. */
export function openUpstream(entry: string, { client, ...options }: HarnessOptions = {}): UpstreamHarness {
  const clock = createFakeClock();
  const events: SluiceEvent[] = [];
  const http = createHttpClient({ ca: [], userAgent: "Sluice/test", instanceId: "test", ...client });
  const { name, url, credentials } = httpEntry(entry);
  const source = createUpstreamSource({
    name,
    url,
    credentials,
    http,
    clock,
    events: { emit: (event) => events.push(event) },
    retry: { attempts: 4 },
    ...options,
  });
  return {
    source,
    clock,
    events,
    async [Symbol.asyncDispose]() {
      await source.close();
      await http.close();
    },
  };
}

/** Reads a file whole. `path` as in a URL, without the leading slash. */
export function fetchBytes(source: Source, path: string, context: FetchContext = contextOf()): Promise<Buffer> {
  return source.fetch(requestOf(path), readAll, context);
}

export function requestOf(path: string): ModuleRequest {
  return parseRequest(`/${path}`);
}

export async function readAll({ body }: SourceResponse): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function contextOf(signal: AbortSignal = new AbortController().signal, client = "test"): FetchContext {
  return { signal, client };
}

/** What a promise fails with; anything but a `SluiceError` fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<SluiceError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof SluiceError) return error;
  throw new Error("did not fail with a SluiceError", { cause: error });
}

/** Outcome and status of every attempt that was reported. */
export function attemptsOf(events: readonly SluiceEvent[]): string[] {
  return events.flatMap((event) => {
    if (event.type !== "upstream_attempt") return [];
    return [`${event.attempt} ${event.outcome}${event.status === undefined ? "" : ` ${event.status}`}`];
  });
}

function httpEntry(text: string): HttpEntry {
  const [entry] = parseChain(text);
  if (entry?.kind === "http") return entry;
  throw new Error(`${text} is no HTTP upstream`);
}
