import { SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { SignedTree } from "../../core/ports.ts";
import { ProtocolError } from "../../protocol/error.ts";

/** The log does not have what belongs to a tree that it signed. That is not "does not exist": it may be on its way. */
export function missing(path: string, { database, cause }: { database: string; cause: SluiceError }): SluiceError {
  const message = `${database}: does not have ${path}, which belongs to a tree that it signed (${cause.message})`;
  return new SluiceError("upstream_invalid", message, { cause, details: { database } });
}

/**
 * Reports what came for the log and is not signed by it, or does not belong to its tree. Answers the error to fail with: `integrity`,
 * or `upstream_invalid` for what is no answer of a database at all, such as the page of a login portal. Somebody on the way who
 * sends that could as well send nothing. `reason` goes behind the name of the database: `signed tree: …`.
 */
export function invalid(
  events: Events,
  { database, via, reason, cause }: { database: string; via: string; reason: string; cause?: unknown },
): SluiceError {
  events.emit({ type: "sum_invalid", database, via, reason });
  const lines = [
    `${database}: ${reason}`,
    `  This came from ${via} and was not kept. If it stays so, something on the way changes what the database says.`,
  ];
  const isNoAnswer = cause instanceof ProtocolError && /^malformed_(record|note)$/.test(cause.code);
  return new SluiceError(isNoAnswer ? "upstream_invalid" : "integrity", lines.join("\n"), {
    cause,
    details: { database, via },
  });
}

/** What everything ends with that is asked of a log of two histories, by the sizes of two trees of them. Fits into what go prints (SPEC §1.6). */
export function forked(database: string, ourSize: number, theirSize: number): SluiceError {
  const lines = [
    `${database}: SECURITY ERROR: this checksum database has shown two histories.`,
    `  Its signed trees of ${ourSize} and of ${theirSize} records do not belong together, so nothing is verified with it.`,
    `  Run \`sluice sumdb status\` on the server to see both. Tell the database's operators about it.`,
    `  When it is settled which one holds, \`sluice sumdb forget-tree ${database}\` follows it anew.`,
  ];
  return new SluiceError("integrity", lines.join("\n"), {
    details: { database, fork: true, ourSize, theirSize },
  });
}

export function isFork(error: SluiceError): boolean {
  return error.details["fork"] === true;
}

/** Opens a signed tree; what is wrong with it goes into the refusal: `has a wrong signed tree: …`. */
export function openOrRefuse(
  open: () => SignedTree,
  refuse: (reason: string, cause: ProtocolError) => SluiceError,
): SignedTree {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw refuse(`has a wrong signed tree: ${error.message}`, error);
  }
}
