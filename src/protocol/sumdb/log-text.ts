const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
// oxlint-disable-next-line no-control-regex -- that is what is looked for
const controlCharacter = /[\0-\t\v-\x1f]/;

/** Decodes what notes and records are made of: valid UTF-8 without control characters but line ends. Undefined for the rest. */
export function tryDecodeLogText(bytes: Uint8Array): string | undefined {
  try {
    const text = utf8.decode(bytes);
    return hasControlCharacter(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Whether there is a control character below U+0020 that is no line end. */
export function hasControlCharacter(text: string): boolean {
  return controlCharacter.test(text);
}

/** Reads a decimal as Go writes it, from 0 to `max`: no sign, no leading zeros. */
export function tryParseDecimal(text: string, max: number): number | undefined {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}
