import { SluiceError } from "../../core/errors.ts";
import { folderSize } from "./folder-size.ts";

export interface FetchLimitOptions {
  /** The mirror. */
  readonly folder: string;
  /** Of the remote, printable. */
  readonly url: string;
  /** What one fetch may add to the folder. */
  readonly maxBytes: number;
}

const lookEveryMs = 500;

/** Watches the folder while git fetches into it. */
export class FetchLimit {
  readonly #parts: FetchLimitOptions;
  readonly #exceeded = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(parts: FetchLimitOptions) {
    this.#parts = parts;
  }

  /** Aborted when the fetch brings more. */
  get signal(): AbortSignal {
    return this.#exceeded.signal;
  }

  /** What to fail with then. */
  get failure(): SluiceError | undefined {
    if (!this.#exceeded.signal.aborted) return undefined;
    const { url, maxBytes } = this.#parts;
    return new SluiceError(
      "upstream_invalid",
      `${url}: the repository is larger than a fetch may be; raise max_fetch_size of [git], now ${maxBytes} bytes, if it is to be served`,
      { details: { upstream: url, maxBytes, permanent: true } },
    );
  }

  /** Git begins. */
  start(): void {
    void this.#watch();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #watch(): Promise<void> {
    const { folder, maxBytes } = this.#parts;
    const before = await folderSize(folder);
    const look = async (): Promise<void> => {
      if ((await folderSize(folder)) - before > maxBytes) this.#exceeded.abort();
      else plan();
    };
    const plan = (): void => {
      if (!this.#isStopped) this.#timer = setTimeout(() => void look(), lookEveryMs);
    };
    plan();
  }
}
