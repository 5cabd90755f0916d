import type { RequestHandler } from "./exchange.ts";

/** Tells when the requests of some handlers have been answered, so that what answers them can be taken away. */
export class RequestsUnderWay {
  #count = 0;
  #ended: PromiseWithResolvers<void> | undefined;

  counted(handler: RequestHandler): RequestHandler {
    return async (request, response) => {
      this.#count += 1;
      try {
        await handler(request, response);
      } finally {
        this.#count -= 1;
        if (this.#count === 0) this.#ended?.resolve();
      }
    };
  }

  /** For when no new ones come. */
  async ended(): Promise<void> {
    if (this.#count === 0) return;
    this.#ended ??= Promise.withResolvers();
    await this.#ended.promise;
  }
}
