// Go compares file names under Unicode simple case folding (strings.EqualFold): `K`, `k` and the Kelvin sign are the same,
// `ß` and `SS` are not. JavaScript has no such function. The classes below follow from its simple case mappings; a test
// compares them with Go's unicode.SimpleFold over all code points.

const plainName = /^[^A-Z\u0080-\uffff]*$/;
const asciiName = /^[\0-\x7f]*$/;
const notPlain = /[A-Z\u0080-\u{10ffff}]/gu;
/** No letter with case is above this. */
const lastCodePoint = 0x1_ffff;
/** The Turkish letters, whose case mappings lead to `i` and `I` though they do not fold to them. */
const turkish = new Set([0x130, 0x131]);

let smallest: Map<number, number> | undefined;

/** A text that is equal for two names exactly when they are equal under Unicode simple case folding. */
export function foldName(name: string): string {
  if (plainName.test(name)) return name;
  // As below, but without the classes: making them takes tens of milliseconds, and most processes never need them.
  if (asciiName.test(name)) return name.toLowerCase();
  smallest ??= foldClasses();
  const classes = smallest;
  return name.replaceAll(notPlain, (char) => {
    const code = char.codePointAt(0) ?? 0;
    // The smallest member of a class with an ASCII letter is upper case; plain names above are taken as they are.
    return String.fromCodePoint(classes.get(code) ?? code).replace(/^[A-Z]$/, (letter) => letter.toLowerCase());
  });
}

/** For every code point that folds with a smaller one, the smallest of its class. */
function foldClasses(): Map<number, number> {
  const parents = new Map<number, number>();
  const find = (code: number): number => {
    let root = code;
    for (let parent = parents.get(root); parent !== undefined; parent = parents.get(root)) root = parent;
    return root;
  };
  const join = (a: number, b: number) => {
    const [low, high] = [find(a), find(b)].sort((x, y) => x - y);
    if (low !== undefined && high !== undefined && low !== high) parents.set(high, low);
  };
  for (let code = 0x41; code <= lastCodePoint; code++) {
    if (turkish.has(code) || (code >= 0xd800 && code <= 0xdfff)) continue;
    const char = String.fromCodePoint(code);
    for (const mapped of [char.toLowerCase(), char.toUpperCase()]) {
      const mappedCode = mapped.codePointAt(0);
      // Mappings to several characters are not simple.
      if (mapped !== char && mappedCode !== undefined && mapped === String.fromCodePoint(mappedCode))
        join(code, mappedCode);
    }
  }
  return new Map([...parents.keys()].map((code) => [code, find(code)]));
}
