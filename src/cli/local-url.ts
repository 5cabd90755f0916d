import { hostname } from "node:os";
import type { Config } from "../config/index.ts";

/** Where this machine reaches the Sluice of this configuration. */
export function localUrl(config: Config): string {
  return urlOf(config, "127.0.0.1");
}

/** Where those who it listens for reach it: other machines, too, when it listens on all addresses. */
export function clientUrl(config: Config): string {
  return urlOf(config, hostname());
}

function urlOf({ server: { listen, basePath } }: Config, everywhere: string): string {
  const host = ["", "0.0.0.0", "::"].includes(listen.host) ? everywhere : listen.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${listen.port}${basePath}`;
}
