import { appendFile, rename, rm, stat } from "node:fs/promises";

export interface AuditLogOptions {
  readonly file: string;
  /** A file of this size is put away as `<file>.1`, and those before it move on. */
  readonly maxBytes?: number;
  /** So many are kept beside the current one. */
  readonly keep?: number;
  /** It cannot be written. Told once until it can again. */
  readonly onFailure: (error: Error) => void;
}

const defaults = { maxBytes: 10 * 1024 * 1024, keep: 5 };
/** Records that wait while the disk takes none; the oldest go first. */
const maxWaiting = 1000;

/** What happened and what was done about it, one JSON object a line. What the disk does not take now is written with the next record. */
export class AuditLog {
  readonly #options: Required<AuditLogOptions>;
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: AuditLogOptions) {
    this.#options = { ...defaults, ...options };
  }

  /** Never fails and never waits. */
  write(record: Readonly<Record<string, unknown>>): void {
    this.#waiting.push(`${JSON.stringify(record)}\n`);
    if (this.#waiting.length > maxWaiting) this.#waiting.shift();
    this.#writing ??= this.#writeAll();
  }

  /** What waits is tried once more. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await this.#rotate();
        // The last line may have been written in part.
        const end = this.#isFailing ? "\n" : "";
        await appendFile(this.#options.file, end + lines.join(""), { mode: 0o640 });
        this.#isFailing = false;
      } catch (error) {
        this.#waiting = [...lines, ...this.#waiting].slice(-maxWaiting);
        if (!this.#isFailing) this.#options.onFailure(error instanceof Error ? error : new Error(String(error)));
        this.#isFailing = true;
        break;
      }
    }
    this.#writing = undefined;
  }

  async #rotate(): Promise<void> {
    const { file, maxBytes, keep } = this.#options;
    if ((await sizeOf(file)) < maxBytes) return;
    await rm(`${file}.${keep}`, { force: true });
    for (let number = keep - 1; number >= 0; number--) {
      const from = number === 0 ? file : `${file}.${number}`;
      if ((await sizeOf(from)) > 0) await rename(from, `${file}.${number + 1}`);
    }
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}
