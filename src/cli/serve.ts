import { isatty } from "node:tty";
import type { LoadedConfig } from "../config/index.ts";
import { systemClock } from "../core/clock.ts";
import { banner } from "./banner.ts";
import { firstSignal } from "./first-signal.ts";
import { FileWatch } from "./watch-files.ts";

/** Reads the configuration as it is now, and notes the text of each file it looks at, also when it fails. */
export type ReadConfig = (files: Map<string, string | undefined>) => Promise<LoadedConfig>;

/** Serves until SIGTERM or SIGINT, finishes what is under way, and ends the process. SIGHUP reads the configuration again. */
export async function serve(read: ReadConfig): Promise<void> {
  const stopRequested = firstSignal();
  const reloads = reloadSignals();
  const files = new Map<string, string | undefined>();
  const { config, given } = await read(files);
  // Not at the top: the other commands answer without loading the server.
  const { startSluice } = await import("../compose.ts");
  const sluice = await startSluice(config);

  // Who wrote `json` reads standard output with a machine.
  const people = config.log.format === "json" ? process.stderr : process.stdout;
  people.write(
    banner({ url: sluice.url, config, chainOrigin: given.get("upstream.chain")?.origin ?? { kind: "default" } }),
  );

  const watch = config.server.watchConfig ? new FileWatch(systemClock, () => reload()) : undefined;
  watch?.follow(files);
  const reload = (): void => {
    void sluice.reload(async () => {
      const files = new Map<string, string | undefined>();
      try {
        return (await read(files)).config;
      } finally {
        watch?.follow(files);
      }
    });
  };
  reloads.on(reload);

  await stopRequested;
  watch?.close();
  await sluice.stop();
  process.exit(0);
}

/** SIGHUP, from the first moment on: before somebody listens, what it asks for is what happens anyway. */
function reloadSignals(): { on(listener: () => void): void } {
  const hadTerminal = isatty(1);
  let reload = (): void => undefined;
  process.on("SIGHUP", () => {
    // A terminal that was closed says so with the same signal.
    if (hadTerminal && !isatty(1)) process.kill(process.pid, "SIGTERM");
    else reload();
  });
  return { on: (listener) => void (reload = listener) };
}
