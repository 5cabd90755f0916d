import { isatty } from "node:tty";
import type { ConfigSnapshot } from "../cluster/control.ts";
import type { Config, LoadedConfig } from "../config/index.ts";
import { systemClock } from "../core/clock.ts";
import { banner } from "./banner.ts";
import { firstSignal } from "./first-signal.ts";
import { FileWatch } from "./watch-files.ts";

type FileTexts = Map<string, string | undefined>;

export interface ConfigReader {
  /** Reads the configuration as it is now, and notes the text of each file it looks at, also when it fails. */
  read(files: FileTexts): Promise<LoadedConfig>;
  /** For other processes, which read what was noted. */
  snapshot(files: FileTexts): ConfigSnapshot;
}

interface Serving {
  readonly url: string;
  /** Reads the configuration again. Never fails. */
  reload(): Promise<void>;
  stop(): Promise<void>;
}

/** Serves until SIGTERM or SIGINT, finishes what is under way, and ends the process. SIGHUP reads the configuration again. */
export async function serve(reader: ConfigReader): Promise<void> {
  const stopRequested = firstSignal();
  const reloads = reloadSignals();
  const files: FileTexts = new Map();
  const { config, given } = await reader.read(files);
  let watch: FileWatch | undefined;
  const readAgain = async (): Promise<{ readonly config: Config; readonly files: FileTexts }> => {
    const files: FileTexts = new Map();
    try {
      return { config: (await reader.read(files)).config, files };
    } finally {
      watch?.follow(files);
    }
  };
  const serving =
    config.server.workers > 1
      ? await serveWithWorkers(config, reader.snapshot(files), async () => reader.snapshot((await readAgain()).files))
      : await serveAlone(config, async () => (await readAgain()).config);

  if (config.server.watchConfig) {
    watch = new FileWatch(systemClock, () => void serving.reload());
    watch.follow(files);
  }

  // Who wrote `json` reads standard output with a machine.
  const people = config.log.format === "json" ? process.stderr : process.stdout;
  people.write(
    banner({ url: serving.url, config, chainOrigin: given.get("upstream.chain")?.origin ?? { kind: "default" } }),
  );
  reloads.on(() => void serving.reload());

  await stopRequested;
  watch?.close();
  await serving.stop();
  process.exit(0);
}

async function serveAlone(config: Config, readAgain: () => Promise<Config>): Promise<Serving> {
  // Not at the top: the other commands answer without loading the server.
  const { startSluice } = await import("../compose.ts");
  const sluice = await startSluice(config, { readAgain });
  return {
    url: sluice.url,
    reload: async () => void (await sluice.reload(readAgain)),
    stop: () => sluice.stop(),
  };
}

async function serveWithWorkers(
  config: Config,
  started: ConfigSnapshot,
  readAgain: () => Promise<ConfigSnapshot>,
): Promise<Serving> {
  const { startWorkers } = await import("./workers.ts");
  return startWorkers(config, { started, readAgain });
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
