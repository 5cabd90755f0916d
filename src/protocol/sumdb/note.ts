import { ProtocolError } from "../error.ts";
import { encodeBase64, tryDecodeBase64 } from "./base64.ts";
import { maxNoteBytes } from "./limits.ts";
import { hasControlCharacter, tryDecodeLogText } from "./log-text.ts";
import { formatKeyHash, isValidKeyName, type NoteSigner, type NoteVerifier } from "./note-key.ts";

/** A note of which every signature by a known key is right, and there is at least one. */
export interface OpenedNote {
  /** Ends with a line end. */
  readonly text: string;
  /** The known keys that signed it, in the note's order. */
  readonly signedBy: readonly NoteVerifier[];
}

const maxSignatures = 100;
const signaturePrefix = "— ";

/**
 * Reads a signed note (SPEC §6.1). Signatures by keys that are not among `verifiers` are passed over.
 *
 * @throws ProtocolError `malformed_note`; `untrusted_note` when no known key has signed it, or a signature in the name of one
 * is wrong.
 */
export function openNote(message: Uint8Array, verifiers: readonly NoteVerifier[]): OpenedNote {
  if (message.length > maxNoteBytes) throw malformedNote(`has ${message.length} bytes, more than ${maxNoteBytes}`);
  const split = Buffer.from(message.buffer, message.byteOffset, message.byteLength).lastIndexOf("\n\n");
  if (split < 0) throw malformedNote("has no signatures");
  const signed = message.subarray(0, split + 1);
  const text = tryDecodeLogText(signed);
  const signatures = tryDecodeLogText(message.subarray(split + 2));
  if (text === undefined || signatures === undefined) throw malformedNote("has bytes that are no text");
  return { text, signedBy: checkSignatures(signed, signatures, verifiers) };
}

/**
 * Signs a text, which ends with a line end, with every one of the keys.
 *
 * @throws ProtocolError `malformed_note` for a text that no note can have, and without signers.
 */
export function signNote(text: string, signers: readonly NoteSigner[]): Uint8Array {
  if (!text.endsWith("\n") || !text.isWellFormed() || hasControlCharacter(text)) {
    throw malformedNote("must be text that ends with a line end");
  }
  if (signers.length === 0) throw malformedNote("needs a signature");
  const signed = Buffer.from(text);
  let message = `${text}\n`;
  for (const signer of signers) {
    const signature = Buffer.alloc(4);
    signature.writeUInt32BE(signer.keyHash);
    message += `${signaturePrefix}${signer.name} ${encodeBase64(Buffer.concat([signature, signer.sign(signed)]))}\n`;
  }
  return Buffer.from(message);
}

function checkSignatures(text: Uint8Array, block: string, verifiers: readonly NoteVerifier[]): NoteVerifier[] {
  const lines = block.split("\n");
  if (lines.pop() !== "" || lines.length === 0) throw malformedNote("does not end with a line of signature");
  if (lines.length > maxSignatures) throw malformedNote(`has more than ${maxSignatures} signatures`);
  const signedBy: NoteVerifier[] = [];
  for (const { name, keyHash, signature } of lines.map(parseSignature)) {
    const verifier = findVerifier(verifiers, name, keyHash);
    if (verifier === undefined || signedBy.includes(verifier)) continue;
    if (!verifier.verify(text, signature)) {
      throw new ProtocolError("untrusted_note", `invalid signature for key ${name}+${formatKeyHash(keyHash)}`);
    }
    signedBy.push(verifier);
  }
  if (signedBy.length === 0) throw new ProtocolError("untrusted_note", "note has no verifiable signatures");
  return signedBy;
}

interface Signature {
  readonly name: string;
  readonly keyHash: number;
  readonly signature: Uint8Array;
}

function parseSignature(line: string): Signature {
  const cut = line.indexOf(" ", signaturePrefix.length);
  if (!line.startsWith(signaturePrefix) || cut < 0) throw malformedNote("has a malformed line of signature");
  const name = line.slice(signaturePrefix.length, cut);
  const bytes = tryDecodeBase64(line.slice(cut + 1));
  if (!isValidKeyName(name) || bytes === undefined || bytes.length < 5) {
    throw malformedNote("has a malformed line of signature");
  }
  const keyHash = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { name, keyHash, signature: bytes.subarray(4) };
}

function findVerifier(verifiers: readonly NoteVerifier[], name: string, keyHash: number): NoteVerifier | undefined {
  const found = verifiers.filter((verifier) => verifier.name === name && verifier.keyHash === keyHash);
  if (found.length > 1) throw new ProtocolError("malformed_key", `ambiguous key ${name}+${formatKeyHash(keyHash)}`);
  return found[0];
}

function malformedNote(problem: string): ProtocolError {
  return new ProtocolError("malformed_note", `malformed note: it ${problem}`);
}
