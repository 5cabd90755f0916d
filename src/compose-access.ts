import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { Messages } from "./core/fleet.ts";
import { type Access, createAccess } from "./policy/access.ts";
import { createAddressRanges } from "./policy/address-ranges.ts";
import { RateLimit } from "./policy/rate-limit.ts";
import { type ClientGate, createClientGate } from "./server/client-gate.ts";
import type { ExchangeOptions } from "./server/exchange.ts";

export interface ComposedAccess {
  readonly access: Access;
  /** Undefined where nobody is refused, so that it costs nothing. */
  readonly gate: ClientGate | undefined;
  readonly close: () => void;
}

/** Of a budget that is not said, so many seconds may be spent at once. */
const burstSeconds = 60;

/** Who may ask, for what and how much. */
export function composeAccess(
  { access: rules, limits, server: { trustedProxies } }: Config,
  { exchange, messages }: { readonly exchange: ExchangeOptions; readonly messages?: Messages | undefined },
): ComposedAccess {
  const access = createAccess(rules);
  const { requestsPerSecond, burst, bypass } = limits;
  const rateLimit =
    requestsPerSecond === 0
      ? undefined
      : new RateLimit({
          clock: systemClock,
          requestsPerSecond,
          burst: burst === 0 ? requestsPerSecond * burstSeconds : burst,
          messages,
        });
  const hasNetworks = rules.allowNetworks.length + rules.denyNetworks.length > 0;
  const gate =
    rateLimit === undefined && !hasNetworks
      ? undefined
      : createClientGate({
          exchange,
          access,
          rateLimit,
          isUnlimited: createAddressRanges(bypass),
          clientAddress: exchange.clientAddress,
          hasTrustedProxies: trustedProxies.length > 0,
        });
  return { access, gate, close: () => rateLimit?.close() };
}
