import { SluiceError } from "../../src/core/errors.ts";
import type { FetchContext, MadeZip, Source, SourceResponse } from "../../src/core/ports.ts";
import { blobKey, type ModuleRequest } from "../../src/protocol/goproxy/index.ts";

/** Text or bytes that the source has; an error that it fails with; a promise of either, for a source that thinks. */
export type ScriptedAnswer = string | Uint8Array | Error | Promise<string | Uint8Array | Error>;

/** A source that has what the test says at the moment. */
export interface ScriptedSource extends Source {
  /** Blob key to answer. What is not there does not exist. Change it at will. */
  readonly answers: Map<string, ScriptedAnswer>;
  /** Keys asked for, in order. */
  readonly asked: string[];
  /** How many were asked when a `not_found` is made up: 0 is a chain that ends at once. */
  links: number;
  /** What it says of its zips. */
  made: MadeZip | undefined;
}

export function createScriptedSource(answers: Readonly<Record<string, ScriptedAnswer>> = {}): ScriptedSource {
  const source: ScriptedSource = {
    name: "scripted",
    answers: new Map(Object.entries(answers)),
    asked: [],
    links: 1,
    made: undefined,
    async fetch<T>(
      request: ModuleRequest,
      receive: (response: SourceResponse) => Promise<T>,
      _context: FetchContext,
    ): Promise<T> {
      const key = blobKey(request);
      source.asked.push(key);
      const answer = await source.answers.get(key);
      if (answer === undefined)
        throw new SluiceError("not_found", `not found: ${key}`, { details: { asked: source.links } });
      if (answer instanceof Error) throw answer;
      const bytes = Buffer.from(answer);
      return receive({ source: "scripted", size: bytes.length, made: source.made, body: chunksOf(bytes) });
    },
    close: async () => undefined,
  };
  return source;
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
