import { SluiceError } from "../core/errors.ts";
import { matchPrefixPatterns } from "../protocol/module/index.ts";
import { createAddressRanges } from "./address-ranges.ts";

export interface AccessRules {
  /** IPs and CIDRs. Empty: everybody. */
  readonly allowNetworks: readonly string[];
  readonly denyNetworks: readonly string[];
  /** In the grammar of GOPRIVATE. Empty: all modules. */
  readonly allowModules: string;
  readonly denyModules: string;
  /** Whom to ask, for people; may be empty. */
  readonly contact: string;
}

/** Who may ask, and for what. What is denied is so whatever else allows it. */
export interface Access {
  /** Why a client may not ask: `denied`. */
  refuseClient(address: string): SluiceError | undefined;
  /** Why a module is not served: `denied`. */
  refuseModule(modulePath: string): SluiceError | undefined;
}

export function createAccess(rules: AccessRules): Access {
  const isDenied = createAddressRanges(rules.denyNetworks);
  const isAllowed = rules.allowNetworks.length === 0 ? () => true : createAddressRanges(rules.allowNetworks);
  const ask = rules.contact === "" ? "Ask who runs this Sluice." : `Ask ${rules.contact}.`;
  const refuse = (what: string, rule: string, reason: string): SluiceError =>
    new SluiceError("denied", `${what} is not allowed here: ${reason} (${rule} of [access]). ${ask}`, {
      details: { rule },
    });

  return {
    refuseClient(address) {
      if (isDenied(address)) return refuse(`the client ${address}`, "deny_networks", "its network is denied");
      if (!isAllowed(address))
        return refuse(`the client ${address}`, "allow_networks", "its network is none of those allowed");
      return undefined;
    },
    refuseModule(modulePath) {
      const denying = rules.denyModules.split(",").find((pattern) => matchPrefixPatterns(pattern, modulePath));
      if (denying !== undefined) return refuse(modulePath, "deny_modules", `modules of ${denying} are denied`);
      if (rules.allowModules === "" || matchPrefixPatterns(rules.allowModules, modulePath)) return undefined;
      return refuse(modulePath, "allow_modules", "it is none of the modules allowed");
    },
  };
}
