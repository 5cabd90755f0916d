import { createPrivateKey, createPublicKey, hash, randomBytes, sign, verify, type KeyObject } from "node:crypto";
import { ProtocolError } from "../error.ts";
import { fields } from "../go-text.ts";
import { encodeBase64, tryDecodeBase64 } from "./base64.ts";
import { hasControlCharacter } from "./log-text.ts";

/** A public key that notes are checked with. */
export interface NoteVerifier {
  /** Who signs with it: the name of a checksum database, such as `sum.golang.org`. */
  readonly name: string;
  /** The first four bytes of a hash over name and key, big-endian, which tells the keys of one name apart. */
  readonly keyHash: number;
  /** Whether `signature` (64 bytes, without the key hash) is one of `text`. */
  verify(text: Uint8Array, signature: Uint8Array): boolean;
}

/** A private key that notes are signed with. */
export interface NoteSigner {
  readonly name: string;
  readonly keyHash: number;
  /** 64 bytes. */
  sign(text: Uint8Array): Uint8Array;
  /** The public half, as `parseVerifierKey` reads it: what clients write into GOSUMDB. */
  readonly verifierKey: string;
}

const ed25519 = 1;
const keyBytes = 32;
/** What stands before the 32 bytes of an Ed25519 key in the encodings that OpenSSL reads (RFC 8410). */
const publicKeyPrefix = Buffer.from("302a300506032b6570032100", "hex");
const privateKeyPrefix = Buffer.from("302e020100300506032b657004220420", "hex");

/**
 * Reads `<name>+<hash>+<base64>` (SPEC §6.2). The base64 may have a `+` itself.
 *
 * @throws ProtocolError `malformed_key`, in go's words.
 */
export function parseVerifierKey(text: string): NoteVerifier {
  const [name, hash16, key64] = cutAtPlus(text, 2);
  const keyHash = tryParseKeyHash(hash16);
  const key = tryDecodeBase64(key64 ?? "");
  if (name === undefined || keyHash === undefined || key === undefined || key.length === 0 || !isValidKeyName(name)) {
    throw malformedKey("malformed verifier id");
  }
  if (keyHash !== hashKey(name, key)) throw malformedKey("invalid verifier hash");
  if (key[0] !== ed25519) throw malformedKey("unknown verifier algorithm");
  if (key.length !== 1 + keyBytes) throw malformedKey("malformed verifier id");
  return createVerifier(name, keyHash, key);
}

/**
 * Reads `PRIVATE+KEY+<name>+<hash>+<base64>` (SPEC §6.2). No message has any part of the key.
 *
 * @throws ProtocolError `malformed_key`.
 */
export function parseSignerKey(text: string): NoteSigner {
  const [first, second, name, hash16, key64] = cutAtPlus(text, 4);
  const keyHash = tryParseKeyHash(hash16);
  const key = tryDecodeBase64(key64 ?? "");
  const isMarked = first === "PRIVATE" && second === "KEY";
  if (!isMarked || name === undefined || keyHash === undefined || key === undefined || key.length === 0) {
    throw malformedKey("malformed signer key: expected PRIVATE+KEY+<name>+<hash>+<base64>");
  }
  if (!isValidKeyName(name)) throw malformedKey("malformed signer key: its name is empty or has a space");
  if (key[0] !== ed25519) throw malformedKey("unknown signer algorithm");
  if (key.length !== 1 + keyBytes) throw malformedKey("malformed signer key: its length is wrong");
  const signer = createSigner(name, key.subarray(1));
  if (signer.keyHash !== keyHash) throw malformedKey("invalid signer hash");
  return signer;
}

/**
 * A new pair of keys. `seed` (32 bytes) makes it repeatable, for tests.
 *
 * @throws ProtocolError `malformed_key` for a name that notes cannot have: empty, or with a space, `+` or control character.
 */
export function generateKey(
  name: string,
  seed: Uint8Array = randomBytes(keyBytes),
): { readonly signerKey: string; readonly verifierKey: string } {
  if (!isValidKeyName(name) || hasControlCharacter(name))
    throw malformedKey(`malformed key name ${JSON.stringify(name)}`);
  if (seed.length !== keyBytes) throw malformedKey(`a key's seed has ${keyBytes} bytes, not ${seed.length}`);
  const { keyHash, verifierKey } = createSigner(name, seed);
  const key64 = encodeBase64(withAlgorithm(seed));
  return { signerKey: `PRIVATE+KEY+${name}+${formatKeyHash(keyHash)}+${key64}`, verifierKey };
}

/** Not empty, and without space and `+`. */
export function isValidKeyName(name: string): boolean {
  return name.isWellFormed() && !name.includes("+") && fields(name)[0] === name;
}

export function formatKeyHash(keyHash: number): string {
  return keyHash.toString(16).padStart(8, "0");
}

function createVerifier(name: string, keyHash: number, key: Uint8Array): NoteVerifier {
  let publicKey: KeyObject | undefined;
  return {
    name,
    keyHash,
    verify(text, signature) {
      publicKey ??= createPublicKey({
        key: Buffer.concat([publicKeyPrefix, key.subarray(1)]),
        format: "der",
        type: "spki",
      });
      return verify(null, text, publicKey, signature);
    },
  };
}

function createSigner(name: string, seed: Uint8Array): NoteSigner {
  const der = Buffer.concat([privateKeyPrefix, seed]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  const key = withAlgorithm(spki.subarray(publicKeyPrefix.length));
  const keyHash = hashKey(name, key);
  return {
    name,
    keyHash,
    sign: (text) => sign(null, text, privateKey),
    verifierKey: `${name}+${formatKeyHash(keyHash)}+${encodeBase64(key)}`,
  };
}

function hashKey(name: string, key: Uint8Array): number {
  return hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), key]), "buffer").readUInt32BE();
}

function withAlgorithm(key: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(ed25519), key]);
}

function tryParseKeyHash(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9A-Fa-f]{8}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}

/** Splits at the first `count` pluses only. */
function cutAtPlus(text: string, count: number): string[] {
  const parts: string[] = [];
  let rest = text;
  for (let cut = rest.indexOf("+"); cut >= 0 && parts.length < count; cut = rest.indexOf("+")) {
    parts.push(rest.slice(0, cut));
    rest = rest.slice(cut + 1);
  }
  parts.push(rest);
  return parts;
}

function malformedKey(message: string): ProtocolError {
  return new ProtocolError("malformed_key", message);
}
