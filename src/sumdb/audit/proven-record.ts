import { SluiceError } from "../../core/errors.ts";
import type { LogRecord } from "../../core/ports.ts";
import type { ModulePath, Version } from "../../protocol/brand.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { type NoteVerifier, parseLookup, recordHash } from "../../protocol/sumdb/index.ts";
import { base64, countOf } from "./finding.ts";
import type { LogReader } from "./log-reader.ts";
import { Prover } from "./prover.ts";
import { type OpenedTree, openTree } from "./signed-tree.ts";

/** A record, and the signed tree that it is proven to be in. */
export interface ProvenRecord extends LogRecord {
  readonly tree: OpenedTree;
}

/**
 * Asks a log for a module version, and proves the answer by the log's tiles. Fails with `integrity` when it cannot be proven,
 * with `not_found` when the log does not have it, and with an `upstream_*` code when it cannot be asked.
 */
export async function lookUpProven(
  { log, verifiers }: { readonly log: LogReader; readonly verifiers: readonly NoteVerifier[] },
  modulePath: ModulePath,
  version: Version,
): Promise<ProvenRecord> {
  const where = `${log.name}: the lookup of ${modulePath}@${version}`;
  const answer = await log.lookup(modulePath, version);
  try {
    const { id, text, note } = parseLookup(answer);
    const tree = openTree(note, verifiers, where);
    const proven = await new Prover(log).recordHash(tree, id);
    if (Buffer.compare(proven, recordHash(text)) === 0) return { id, text, tree };
    throw new SluiceError(
      "integrity",
      `${where}: record ${id} is not the one in the signed tree of ${countOf(tree.size, "record")}\nin the tree: ${base64(proven)}\nthe record:  ${base64(recordHash(text))}`,
    );
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SluiceError("integrity", `${where} cannot be proven: ${error.message}`, { cause: error });
  }
}
