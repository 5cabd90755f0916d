import { waitUnlessAborted } from "../../core/singleflight.ts";
import type { FetchContext, Source, SourceResponse } from "../../core/ports.ts";
import type { ModuleRequest } from "../../protocol/goproxy/index.ts";

/**
 * A git source for as long as it has the mirrors, in which only one may work. The next one gets them when the last fetch of this
 * one has ended; whoever still asks this one is answered by the next.
 */
export class GitTenure implements Source {
  readonly name: string;
  readonly #source: Promise<Source>;
  readonly #idle = Promise.withResolvers<void>();
  #fetching = 0;
  #next: GitTenure | undefined;
  #isOver = false;

  constructor(name: string, source: Promise<Source>) {
    this.name = name;
    this.#source = source;
    // Whoever fetches is told, and then there is nothing to close.
    source.catch(() => undefined);
  }

  async fetch<T>(
    request: ModuleRequest,
    receive: (response: SourceResponse) => Promise<T>,
    context: FetchContext,
  ): Promise<T> {
    if (this.#next !== undefined) return this.#next.fetch(request, receive, context);
    this.#fetching += 1;
    try {
      const source = await waitUnlessAborted(this.#source, context.signal);
      return await source.fetch(request, receive, context);
    } finally {
      this.#fetching -= 1;
      if (this.#isOver && this.#fetching === 0) this.#idle.resolve();
    }
  }

  /** Resolves when nothing works in the mirrors any more. */
  async handOver(next: GitTenure): Promise<void> {
    this.#next = next;
    this.#isOver = true;
    if (this.#fetching > 0) await this.#idle.promise;
    await this.close();
  }

  async close(): Promise<void> {
    const source = await this.#source.catch(() => undefined);
    await source?.close();
  }
}
