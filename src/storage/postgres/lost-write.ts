let isSurviving = false;

/**
 * Where postgres 3.4.9 does something by itself and the connection is lost meanwhile, no promise of ours hears of it, and Node ends the process:
 * - It writes the end of a transaction in an immediate of its own (`nextWrite` in its connection.js).
 * - It asks for the array types first on each connection (`fetchArrayTypes`), and nobody waits for that.
 *
 * Nothing is lost by passing these over: whoever waited for a statement of his own has its error already. But the connection is
 * of no use any more, so its pool must be let go of.
 */
export function surviveLostWrites(): void {
  if (isSurviving) return;
  isSurviving = true;
  process.on("uncaughtException", (error, origin) => {
    if (origin === "unhandledRejection" ? isLostStatement(error) : isLostWrite(error)) return;
    // Anything else ends the process, as it would without this.
    throw error;
  });
}

/** A statement that nobody waits for, on a connection that went away. The library says in its errors which statement it was. */
export function isLostStatement(error: unknown): boolean {
  return isLostConnection(error) && error instanceof Error && "query" in error;
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
