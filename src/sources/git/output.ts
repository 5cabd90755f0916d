import { createWriteStream } from "node:fs";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";

export interface OutputOptions {
  /** A new file for all of it. Without one, it is kept in memory. */
  readonly file?: string | undefined;
  readonly maxBytes: number;
  /** There is more than `maxBytes`, of which no more is kept. */
  readonly onTooLarge: () => void;
  /** The file cannot be written. */
  readonly onUnwritable: (error: unknown) => void;
}

/** What a process writes. One of the two is called when the process has ended. */
export interface Output {
  /** Everything, or nothing when it stands in the file. */
  finish(): Promise<Buffer>;
  discard(): void;
}

/** Takes what a process writes, no faster than the disk does. */
export function collectOutput(stdout: Readable, { file, maxBytes, onTooLarge, onUnwritable }: OutputOptions): Output {
  const chunks: Buffer[] = [];
  const target = file === undefined ? undefined : createWriteStream(file, { flags: "wx", mode: 0o600 });
  const written = target === undefined ? Promise.resolve() : finished(target);
  let size = 0;
  let isOver = false;
  /** The process must not wait for somebody to read on. */
  const drain = (): void => {
    isOver = true;
    if (target !== undefined) stdout.unpipe(target);
    stdout.resume();
  };
  written.catch((error: unknown) => {
    if (isOver) return;
    drain();
    onUnwritable(error);
  });
  stdout.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (isOver) return;
    if (size <= maxBytes) {
      if (target === undefined) chunks.push(chunk);
      return;
    }
    drain();
    onTooLarge();
  });
  if (target !== undefined) stdout.pipe(target);

  return {
    async finish() {
      await written;
      return Buffer.concat(chunks);
    },
    discard() {
      isOver = true;
      target?.destroy();
    },
  };
}
