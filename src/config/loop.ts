import { isIP } from "node:net";
import { SluiceError } from "../core/errors.ts";
import { parseChain } from "../sources/chain-spec.ts";
import { explain } from "./explain.ts";
import type { LoadedConfig } from "./load.ts";
import { findSetting } from "./settings.ts";
import type { ListenAddress } from "./values.ts";

export interface Machine {
  /** Addresses of this machine's own interfaces. */
  readonly addresses: readonly string[];
  /** All addresses of a name; none when it has none. */
  lookup(hostname: string): Promise<readonly string[]>;
}

/** Fails with `config_invalid` when the chain leads back to Sluice itself, as when the shell's own GOPROXY points at it. */
export async function refuseLoop({ config, given }: LoadedConfig, machine: Machine): Promise<void> {
  const { upstream } = config;
  const chains = [upstream.chain, ...upstream.routes.map(({ chain }) => chain)];
  const upstreams = chains.flatMap(parseChain).flatMap((entry) => (entry.kind === "http" ? [entry] : []));
  const loop = await findLoop(
    config.server.listen,
    upstreams.map(({ url }) => url),
    machine,
  );
  const name = upstreams.find(({ url }) => url === loop)?.name;
  if (name === undefined) return;
  const inRoute = parseChain(upstream.chain).every((entry) => entry.name !== name);
  if (inRoute) {
    throw new SluiceError(
      "config_invalid",
      explain(findSetting("upstream.route.chain"), `points at Sluice itself with ${name}; take that entry out of it`, {
        given,
        file: undefined,
      }),
    );
  }
  const origin = given.get("upstream.chain")?.origin;
  const ofGo = origin?.kind === "env" && origin.name === "GOPROXY";
  throw new SluiceError(
    "config_invalid",
    ofGo
      ? `GOPROXY=${name} in this shell points at Sluice itself; start it with SLUICE_UPSTREAM_CHAIN=https://… (where it is to fetch from), or unset GOPROXY`
      : explain(findSetting("upstream.chain"), `points at Sluice itself with ${name}; take that entry out of it`, {
          given,
          file: undefined,
        }),
  );
}

/**
 * The first of `upstreams` that leads back to the address Sluice is about to listen on: the same port, and a host that is
 * this machine. A front end that passes requests back is not noticed here but when the first request comes round.
 */
export async function findLoop(
  listen: ListenAddress,
  upstreams: readonly URL[],
  machine: Machine,
): Promise<URL | undefined> {
  if (listen.port === 0) return undefined;
  const own = await addressesOf(listen.host === "" ? "::" : listen.host, machine);
  for (const upstream of upstreams.filter((url) => portOf(url) === listen.port)) {
    const targets = await addressesOf(upstream.hostname.replace(/^\[|\]$/g, ""), machine);
    if (targets.some((target) => own.includes(target))) return upstream;
  }
  return undefined;
}

/** What one may connect to, or is reached by, under a host. Unspecified addresses are those of the whole machine. */
async function addressesOf(host: string, machine: Machine): Promise<string[]> {
  const addresses = isIP(host) === 0 ? await machine.lookup(host) : [host];
  return addresses.flatMap((address) => {
    const plain = normalize(address);
    return isUnspecified(plain) ? [plain, "127.0.0.1", "::1", ...machine.addresses.map(normalize)] : [plain];
  });
}

function portOf({ protocol, port }: URL): number {
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}

/** One spelling per address: `::ffff:127.0.0.1` is `127.0.0.1`. */
function normalize(address: string): string {
  if (isIP(address) !== 6) return address;
  const canonical = new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
  const [, high = "", low = ""] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical) ?? [];
  if (high === "") return canonical;
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
}

function isUnspecified(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}
