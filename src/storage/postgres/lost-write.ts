let isSurviving = false;

/**
 * postgres 3.4.9 writes the end of a transaction to a connection that was just lost, in an immediate of its own (`nextWrite` in its
 * connection.js): no promise hears of that, and Node ends the process. Nothing is lost by passing it over, as whoever waited for the
 * transaction has its error already; but the connection is of no use any more, so its pool must be let go of.
 */
export function surviveLostWrites(): void {
  if (isSurviving) return;
  isSurviving = true;
  process.on("uncaughtException", (error) => {
    // Anything else ends the process, as it would without this.
    if (!isLostWrite(error)) throw error;
  });
}

export function isLostWrite(error: unknown): boolean {
  return (
    error instanceof TypeError &&
    /^\s*at Immediate\.nextWrite \(.*[\\/]postgres[\\/](?:cjs[\\/])?src[\\/]connection\.js:/m.test(error.stack ?? "")
  );
}

const lostCodes: ReadonlySet<unknown> = new Set([
  "CONNECTION_CLOSED",
  "CONNECTION_DESTROYED",
  "CONNECTION_ENDED",
  "ECONNRESET",
  "EPIPE",
]);

/** A connection that had been there went away under a statement. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof Error && "code" in error && lostCodes.has(error.code);
}
