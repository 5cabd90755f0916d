import type { Random } from "../support/random.ts";

export interface MutationSource {
  readonly corpus: readonly Uint8Array[];
  /** Words of the format under test. */
  readonly dictionary: readonly Uint8Array[];
  readonly maxBytes: number;
}

type Mutation = (input: Uint8Array, random: Random, source: MutationSource) => Uint8Array;

// Values at which counts, lengths, offsets and characters change their meaning.
const edgeBytes = [0x00, 0x01, 0x0a, 0x20, 0x2e, 0x2f, 0x7f, 0x80, 0xc3, 0xff];
const edgeIntegers = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

// Each answers new bytes. `slice` would not do: that of a Buffer shares its memory.
const mutations: readonly Mutation[] = [
  function flipBit(input, random) {
    const copy = Uint8Array.from(input);
    const at = random.int(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random.int(8));
    return copy;
  },
  function setByte(input, random, { corpus }) {
    const copy = Uint8Array.from(input);
    const value = random.chance(50)
      ? piece(random.pick(corpus), random, 1)[0]
      : random.pick([...edgeBytes, random.int(256)]);
    copy[random.int(copy.length)] = value ?? 0;
    return copy;
  },
  function setInteger(input, random) {
    const copy = Buffer.from(input);
    const width = random.pick([2, 4]);
    if (copy.length < width) return copy;
    const value = random.pick(edgeIntegers) & (width === 2 ? 0xffff : -1);
    copy.writeUIntLE(value >>> 0, random.int(copy.length - width + 1), width);
    return copy;
  },
  function insertBytes(input, random, { corpus }) {
    const length = 1 + random.int(8);
    // Noise is refused early by most formats; bytes that stood somewhere else get further.
    const inserted = random.chance(70)
      ? piece(random.pick(corpus), random, length)
      : Uint8Array.from({ length }, () => random.int(256));
    return replaced(input, random.int(input.length + 1), 0, inserted);
  },
  function insertWord(input, random, { dictionary }) {
    if (dictionary.length === 0) return input;
    return replaced(input, random.int(input.length + 1), 0, random.pick(dictionary));
  },
  function overwriteWithWord(input, random, { dictionary }) {
    if (dictionary.length === 0) return input;
    const word = random.pick(dictionary);
    return replaced(input, random.int(input.length), word.length, word);
  },
  function deleteRange(input, random) {
    const { start, length } = range(input, random);
    return replaced(input, start, length, new Uint8Array());
  },
  function repeatRange(input, random) {
    const { start, length } = range(input, random);
    const part = input.subarray(start, start + length);
    return replaced(
      input,
      start,
      0,
      Buffer.concat(Array.from({ length: 1 + random.int(random.pick([2, 16])) }, () => part)),
    );
  },
  function moveRange(input, random) {
    const { start, length } = range(input, random);
    const without = replaced(input, start, length, new Uint8Array());
    return replaced(without, random.int(without.length + 1), 0, input.subarray(start, start + length));
  },
  function splice(input, random, { corpus }) {
    const other = random.pick(corpus);
    const head = input.subarray(0, random.int(input.length + 1));
    return Buffer.concat([head, other.subarray(random.int(other.length + 1))]);
  },
];

/** One of the corpus with one to six random changes, one more often than six. */
export function mutate(random: Random, source: MutationSource): Uint8Array {
  let input = random.pick(source.corpus);
  for (let change = random.int(1 + random.int(6)); change >= 0; change--) {
    if (input.length === 0) input = Uint8Array.of(random.int(256));
    input = random.pick(mutations)(input, random, source);
    if (input.length > source.maxBytes) input = input.subarray(0, source.maxBytes);
  }
  return Uint8Array.from(input);
}

function piece(input: Uint8Array, random: Random, length: number): Uint8Array {
  const start = random.int(Math.max(1, input.length - length + 1));
  return input.subarray(start, start + length);
}

/** Mostly short, so that the rest of the input keeps its meaning. */
function range(input: Uint8Array, random: Random): { start: number; length: number } {
  const start = random.int(input.length);
  const longest = random.chance(80) ? Math.min(8, input.length - start) : input.length - start;
  return { start, length: 1 + random.int(longest) };
}

function replaced(input: Uint8Array, start: number, length: number, by: Uint8Array): Uint8Array {
  return Buffer.concat([input.subarray(0, start), by, input.subarray(start + length)]);
}
