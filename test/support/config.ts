import { loadConfig, type LoadedConfig } from "../../src/config/load.ts";

export interface Input {
  /** Content of `conf/sluice.toml`, named so from the working directory `/srv/app`. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly flags?: Readonly<Record<string, string>>;
  /** By absolute path; a missing one is ENOENT. */
  readonly files?: Readonly<Record<string, string>>;
}

/** `loadConfig` on a machine that has these files and variables and nothing else. */
export function load({ file, env = {}, flags = {}, files = {} }: Input): LoadedConfig {
  const all: Readonly<Record<string, string>> =
    file === undefined ? files : { ...files, "/srv/app/conf/sluice.toml": file };
  return loadConfig({
    configFile: file === undefined ? undefined : "conf/sluice.toml",
    env,
    flags,
    cwd: "/srv/app",
    readFile: (path) => {
      const text = all[path];
      if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
      return text;
    },
  });
}
