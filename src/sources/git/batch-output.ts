/** An object as `git cat-file --batch` prints it. */
export interface GitObject {
  readonly hash: string;
  /** `commit`, `tree`, `blob` or `tag`. */
  readonly type: string;
  readonly size: number;
  /** Undefined when it was too much to be kept. */
  readonly content: Buffer | undefined;
}

interface Unfinished {
  readonly header: Pick<GitObject, "hash" | "type" | "size">;
  /** Undefined where the content is not kept. */
  readonly chunks: Buffer[] | undefined;
  /** With the line end behind the content. */
  left: number;
}

const lineEnd = 0x0a;

/** Reads `<hash> <type> <size>`, a line end, the content, a line end, again and again; or `<name> missing` and the like. */
export class BatchOutput {
  readonly #mayKeep: (size: number) => boolean;
  #line: Buffer = Buffer.alloc(0);
  #object: Unfinished | undefined;

  /** `mayKeep` is asked once for each object, with its size in bytes. */
  constructor(mayKeep: (size: number) => boolean) {
    this.#mayKeep = mayKeep;
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
        this.#object = this.#begin(this.#line.toString("utf8"));
        this.#line = Buffer.alloc(0);
        if (this.#object === undefined) yield undefined;
        continue;
      }
      const object = this.#object;
      const part = rest.subarray(0, object.left);
      object.left -= part.length;
      object.chunks?.push(part);
      rest = rest.subarray(part.length);
      if (object.left > 0) return;
      this.#object = undefined;
      const { header, chunks } = object;
      yield { ...header, content: chunks && Buffer.concat(chunks, header.size) };
    }
  }

  #begin(line: string): Unfinished | undefined {
    const [, hash, type, digits] = /^([0-9a-f]{40,64}) (\w+) (\d+)$/.exec(line) ?? [];
    if (hash === undefined || type === undefined) return undefined;
    const size = Number(digits);
    return { header: { hash, type, size }, chunks: this.#mayKeep(size) ? [] : undefined, left: size + 1 };
  }
}
