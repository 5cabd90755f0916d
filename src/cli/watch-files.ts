import { readFileSync } from "node:fs";
import { fingerprint } from "../config/reload.ts";
import type { Clock } from "../core/ports.ts";

/** The text of files by their absolute paths; undefined of one that cannot be read. */
export type FileTexts = ReadonlyMap<string, string | undefined>;

const lookEveryMs = 2000;

/**
 * Tells when what stands in files has changed, and has stayed the same between two looks. It looks at the text, as notices of the
 * operating system get lost on network file systems, and where files are links that are changed (Kubernetes).
 */
export class FileWatch {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #closing = new AbortController();
  #paths: readonly string[] = [];
  #known = "";

  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock;
    this.#onChange = onChange;
    void this.#look();
  }

  /** Watches these from now on, for anything else than their text here. */
  follow(files: FileTexts): void {
    this.#paths = [...files.keys()];
    this.#known = fingerprint([...files.values()]);
  }

  close(): void {
    this.#closing.abort();
  }

  async #look(): Promise<void> {
    const { signal } = this.#closing;
    let before = "";
    while (await this.#isWorthALook(signal)) {
      const now = fingerprint(this.#paths.map(readText));
      if (now !== this.#known && now === before) {
        this.#known = now;
        this.#onChange();
      }
      before = now;
    }
  }

  async #isWorthALook(signal: AbortSignal): Promise<boolean> {
    await this.#clock.sleep(lookEveryMs, signal).catch(() => undefined);
    return !signal.aborted;
  }
}

export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Whoever needs it says what is wrong with it.
    return undefined;
  }
}
