/** A signal that comes again within this time is the same one: on Ctrl-C both the terminal and npm send it. */
const echoMs = 500;

/** Resolves at the first SIGTERM or SIGINT. The second does not wait for anything. */
export function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let first: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (first === undefined) {
        first = { signal, at: performance.now() };
        resolve();
      } else if (signal !== first.signal || performance.now() - first.at > echoMs) {
        process.exit(130);
      }
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
