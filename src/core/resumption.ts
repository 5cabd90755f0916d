import { isSluiceError, SluiceError } from "./errors.ts";
import type { PartialFile, SourceResponse } from "./ports.ts";
import type { Spool } from "./spool.ts";

/**
 * The attempts at one file, taken into a spool. A body that breaks off is gone on with by the next attempt, where its source can
 * (`PartialFile`). What came whole and was wrong, or does not fit to what is there, is not: the next attempt begins at the first byte.
 */
export class Resumption {
  readonly #onResumed: (source: string, bytes: number) => void;
  #partial: PartialFile | undefined;
  #total: number | undefined;
  /** Whose bytes are in the spool. */
  #sources = new Set<string>();

  /** `onResumed` is told from whom the rest came, and how many bytes did not have to be sent again. */
  constructor(onResumed: (source: string, bytes: number) => void) {
    this.#onResumed = onResumed;
  }

  /** What there is to go on with; undefined when an attempt has to begin at the first byte. */
  partial(): PartialFile | undefined {
    return this.#partial;
  }

  /** Printable: whose bytes the file is made of. */
  get origin(): string {
    return [...this.#sources].join(" and ");
  }

  /** Takes the whole body in. Fails with what the body fails with, or with `integrity` when it does not fit to what is there. */
  async receive(response: SourceResponse, spool: Spool): Promise<void> {
    const { source, start = 0, body } = response;
    this.#partial = undefined;
    if (start > spool.size) {
      throw new SluiceError(
        "upstream_invalid",
        `${source} sent a file from byte ${start} on, and what is before is not here`,
      );
    }
    if (start > 0) spool.resume(start);
    else await this.#restart(response, spool);
    const had = spool.size;
    try {
      for await (const chunk of body) await spool.append(chunk);
    } catch (error) {
      if (isSluiceError(error, "upstream_failed", "upstream_timeout", "upstream_invalid"))
        this.#keep(response, spool.size);
      throw error;
    } finally {
      if (spool.size > had) this.#sources.add(source);
      if (start > 0 && spool.size > had) this.#onResumed(source, start);
    }
  }

  async #restart({ size }: SourceResponse, spool: Spool): Promise<void> {
    await spool.restart();
    if (spool.size > 0) return;
    this.#total = size;
    this.#sources.clear();
  }

  #keep({ source, etag }: SourceResponse, size: number): void {
    const total = this.#total;
    if (total === undefined || size === 0 || size >= total) return;
    this.#partial = { size, total, source, etag };
  }
}
