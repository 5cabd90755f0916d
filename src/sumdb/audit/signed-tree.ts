import { SluiceError } from "../../core/errors.ts";
import type { SignedTree } from "../../core/ports.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { type NoteVerifier, openNote, parseTree } from "../../protocol/sumdb/index.ts";

/** A signed tree, and those of the known keys that have signed it: at least one. */
export interface OpenedTree extends SignedTree {
  readonly signedBy: readonly NoteVerifier[];
}

/**
 * Reads a signed tree. `where` says in messages where it came from.
 *
 * @throws SluiceError `integrity` when none of the keys has signed it, or what is signed is no tree.
 */
export function openTree(note: Uint8Array, verifiers: readonly NoteVerifier[], where: string): OpenedTree {
  try {
    const { text, signedBy } = openNote(note, verifiers);
    return { ...parseTree(text), note, signedBy };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SluiceError(
      "integrity",
      `${where}: ${error.message}\nexpected: signed by ${verifiers.map(keyName).join(" or ")}\nfound:    ${claimedSigners(note)}`,
      { cause: error },
    );
  }
}

/** `signed by sum.corp.example+1f8b08c3 and …`. */
export function signersOf({ signedBy }: OpenedTree): string {
  return `signed by ${signedBy.map(keyName).join(" and ")}`;
}

/** A key as people tell keys apart: `sum.corp.example+1f8b08c3`. */
export function keyName({ name, keyHash }: { readonly name: string; readonly keyHash: number }): string {
  return `${name}+${keyHash.toString(16).padStart(8, "0")}`;
}

/** Who a note says that it is signed by, true or not. */
function claimedSigners(note: Uint8Array): string {
  const lines = Buffer.from(note)
    .toString()
    .matchAll(/^— ([^ +]+) ([A-Za-z0-9+/]{8,}={0,2})$/gm);
  const names = [...lines].map(([, name = "", signature = ""]) =>
    keyName({ name, keyHash: Buffer.from(signature, "base64").readUInt32BE() }),
  );
  return names.length === 0 ? "no signed note" : `signed by ${names.join(" and ")}`;
}
