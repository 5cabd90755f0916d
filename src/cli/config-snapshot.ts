import { type Config, loadConfig, type LoadedConfig, reloaded } from "../config/index.ts";
import type { ConfigSnapshot } from "../cluster/control.ts";

/** The same configuration in another process, which has the same environment, whatever stands in the files by now. */
export function loadSnapshot({ configFile, flags, cwd, files }: ConfigSnapshot): LoadedConfig {
  const texts = new Map(files);
  return loadConfig({
    configFile,
    flags,
    cwd,
    env: process.env,
    readFile: (path) => {
      const text = texts.get(path) ?? undefined;
      if (text === undefined) throw Object.assign(new Error(`${path} could not be read`), { code: "ENOENT" });
      return text;
    },
  });
}

/** `current` as far as that takes no restart of a Sluice that began with `started`. */
export function configInForce(started: ConfigSnapshot, current: ConfigSnapshot): Config {
  return reloaded(loadSnapshot(started).config, loadSnapshot(current).config).config;
}
