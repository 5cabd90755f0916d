import type { LoadedConfig } from "../config/index.ts";
import { banner } from "./banner.ts";

/** Serves until SIGTERM or SIGINT, finishes what is under way, and ends the process. */
export async function serve({ config, given }: LoadedConfig): Promise<void> {
  const stopRequested = firstSignal();
  // Not at the top: the other commands answer without loading the server.
  const { startSluice } = await import("../compose.ts");
  const sluice = await startSluice(config, { stdout: (line) => process.stdout.write(`${line}\n`) });

  // Who wrote `json` reads standard output with a machine.
  const people = config.log.format === "json" ? process.stderr : process.stdout;
  people.write(
    banner({ url: sluice.url, config, chainOrigin: given.get("upstream.chain")?.origin ?? { kind: "default" } }),
  );

  await stopRequested;
  await sluice.stop();
  process.exit(0);
}

/** The second signal does not wait for anything. */
function firstSignal(): Promise<void> {
  return new Promise((resolve) => {
    let seen = false;
    const onSignal = (): void => {
      if (seen) process.exit(130);
      seen = true;
      resolve();
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
  });
}
