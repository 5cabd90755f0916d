/** Gathers lines in one buffer and hands them on in blocks: several times cheaper than a string that grows by each line. */
export class LineBlock {
  readonly #buffer: Buffer;
  readonly #sink: (block: string) => void;
  #used = 0;

  constructor(bytes: number, sink: (block: string) => void) {
    this.#buffer = Buffer.allocUnsafeSlow(bytes);
    this.#sink = sink;
  }

  write(line: string): void {
    // A character of a string is at most three bytes of UTF-8.
    const most = line.length * 3;
    if (this.#used + most > this.#buffer.length) this.flush();
    if (most > this.#buffer.length) this.#sink(line);
    else this.#used += this.#buffer.write(line, this.#used);
  }

  flush(): void {
    if (this.#used === 0) return;
    const block = this.#buffer.toString("utf8", 0, this.#used);
    this.#used = 0;
    this.#sink(block);
  }
}
