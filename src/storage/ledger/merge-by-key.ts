import { Buffer } from "node:buffer";
import type { BlobKey } from "../../core/ports.ts";

interface Keyed {
  readonly key: BlobKey;
}

type Listed<T> = AsyncIterable<T> | Iterable<T>;

/** Two lists in byte order of keys as one. Where both have a key, the first's counts. */
export async function* mergeByKey<T extends Keyed>(first: Listed<T>, second: Listed<T>): AsyncGenerator<T> {
  const ours = iterate(first);
  const theirs = iterate(second);
  try {
    let [our, their] = [await ours.next(), await theirs.next()];
    while (our.done !== true || their.done !== true) {
      const order = our.done === true ? 1 : their.done === true ? -1 : compareKeys(our.value.key, their.value.key);
      if (our.done !== true && order <= 0) yield our.value;
      if (their.done !== true && order > 0) yield their.value;
      if (order <= 0) our = await ours.next();
      if (order >= 0) their = await theirs.next();
    }
  } finally {
    await ours.return(undefined);
    await theirs.return(undefined);
  }
}

async function* iterate<T>(list: Listed<T>): AsyncGenerator<T, undefined> {
  yield* list;
  return undefined;
}

function compareKeys(a: BlobKey, b: BlobKey): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
