export { loadConfig, type LoadedConfig, type LoadOptions } from "./load.ts";
export { refuseLoop, type Machine } from "./loop.ts";
export { printConfig } from "./print.ts";
export type { Config, UpstreamOverride } from "./schema.ts";
export { Secret } from "./secret.ts";
export type { ListenAddress } from "./values.ts";
