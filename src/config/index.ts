export { loadConfig, type LoadedConfig } from "./load.ts";
export { refuseLoop } from "./loop.ts";
export { printConfig } from "./print.ts";
export type { RedisConfig } from "./redis.ts";
export { reloaded } from "./reload.ts";
export type { Config, UpstreamOverride } from "./schema.ts";
export type { ListenAddress } from "./values.ts";
