import { hostname } from "node:os";
import manifest from "../../package.json" with { type: "json" };
import type { Config, ListenAddress } from "../config/index.ts";
import { formatOrigin, type Origin } from "../config/origin.ts";
import { formatChain, parseChain } from "../sources/chain-spec.ts";

/** What a person needs when Sluice has started: where it is, where it keeps and gets things, and the line to paste. */
export function banner({ url, config, chainOrigin }: { url: string; config: Config; chainOrigin: Origin }): string {
  const everywhere = isUnspecified(config.server.listen.host);
  return `
Sluice ${manifest.version} is ready.

  address  ${url}${everywhere ? " and every other address of this machine" : ""}
  store    ${config.store.dataDir}
  chain    ${formatChain(parseChain(config.upstream.chain))}  (${formatOrigin(chainOrigin)})

In the shell that runs go:

  export GOPROXY=${url}
${everywhere ? `\nOn other machines:\n\n  export GOPROXY=${withHost(url, hostname())}\n` : ""}
`;
}

export function formatListen({ host, port }: ListenAddress): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function isUnspecified(host: string): boolean {
  return ["", "0.0.0.0", "::"].includes(host);
}

function withHost(url: string, host: string): string {
  const changed = new URL(url);
  changed.hostname = host;
  return changed.href.replace(/\/$/, "");
}
