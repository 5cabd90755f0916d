/** An object as `git cat-file --batch` prints it. */
export interface GitObject {
  readonly hash: string;
  /** `commit`, `tree`, `blob` or `tag`. */
  readonly type: string;
  readonly size: number;
  /** Undefined when it is larger than what is kept of one. */
  readonly content: Buffer | undefined;
}

interface Unfinished {
  readonly header: Pick<GitObject, "hash" | "type" | "size">;
  readonly chunks: Buffer[];
  /** With the line end behind the content. */
  left: number;
}

const lineEnd = 0x0a;

/** Reads `<hash> <type> <size>`, a line end, the content, a line end, again and again; or `<name> missing` and the like. */
export class BatchOutput {
  readonly #maxBytes: number;
  #line: Buffer = Buffer.alloc(0);
  #object: Unfinished | undefined;

  /** `maxBytes` of one object are kept. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Answers what is complete with this, in the order of the questions; undefined is an object that is not there. */
  *read(chunk: Buffer): Generator<GitObject | undefined> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#object === undefined) {
        const end = rest.indexOf(lineEnd);
        this.#line = Buffer.concat([this.#line, end < 0 ? rest : rest.subarray(0, end)]);
        if (end < 0) return;
        rest = rest.subarray(end + 1);
        this.#object = begin(this.#line.toString("utf8"));
        this.#line = Buffer.alloc(0);
        if (this.#object === undefined) yield undefined;
        continue;
      }
      const object = this.#object;
      const part = rest.subarray(0, object.left);
      object.left -= part.length;
      if (object.header.size <= this.#maxBytes) object.chunks.push(part);
      rest = rest.subarray(part.length);
      if (object.left > 0) return;
      this.#object = undefined;
      const { header, chunks } = object;
      const isKept = header.size <= this.#maxBytes;
      yield { ...header, content: isKept ? Buffer.concat(chunks, header.size) : undefined };
    }
  }
}

function begin(line: string): Unfinished | undefined {
  const [, hash, type, size] = /^([0-9a-f]{40,64}) (\w+) (\d+)$/.exec(line) ?? [];
  if (hash === undefined || type === undefined) return undefined;
  return { header: { hash, type, size: Number(size) }, chunks: [], left: Number(size) + 1 };
}
