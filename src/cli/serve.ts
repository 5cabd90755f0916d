import type { LoadedConfig } from "../config/index.ts";
import { banner } from "./banner.ts";

/** Serves until SIGTERM or SIGINT, finishes what is under way, and ends the process. */
export async function serve({ config, given }: LoadedConfig): Promise<void> {
  const stopRequested = firstSignal();
  // Not at the top: the other commands answer without loading the server.
  const { startSluice } = await import("../compose.ts");
  const sluice = await startSluice(config);

  // Who wrote `json` reads standard output with a machine.
  const people = config.log.format === "json" ? process.stderr : process.stdout;
  people.write(
    banner({ url: sluice.url, config, chainOrigin: given.get("upstream.chain")?.origin ?? { kind: "default" } }),
  );

  await stopRequested;
  await sluice.stop();
  process.exit(0);
}

/** A signal that comes again within this time is the same one: on Ctrl-C both the terminal and npm send it. */
const echoMs = 500;

/** Resolves at the first signal. The second does not wait for anything. */
function firstSignal(): Promise<void> {
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
