const standard = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads standard base64 with its padding, as Go does but for line ends inside; undefined when it is none. */
export function tryDecodeBase64(text: string): Uint8Array | undefined {
  return standard.test(text) ? Buffer.from(text, "base64") : undefined;
}

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
