const cleanups = new Set<() => unknown>();

// The latest first: servers go before the folders they write into.
process.once("exit", () => {
  for (const cleanup of [...cleanups].toReversed()) cleanup();
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));

/** Runs `cleanup` when this process ends, by itself or by a signal, so that nothing of it stays behind. Answers how to call it off. */
export function atExit(cleanup: () => unknown): () => void {
  cleanups.add(cleanup);
  return () => cleanups.delete(cleanup);
}
