import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[access]`. */
export const accessSchema = section(
  "Who may ask, and for which modules. What is denied is answered 403, with the rule and whom to ask; a denied network or module stays denied whatever else allows it. `/healthz`, `/readyz` and `/metrics` are for everybody.",
  {
    allowNetworks: setting(value.addressRanges(), {
      kind: "list",
      default: [],
      synonyms: ["allow", "networks", "allowed_networks", "clients"],
      doc: "IPs and CIDRs of the clients that may ask. Empty is everybody. Behind a front end set `server.trusted_proxies`, else every client has the front end's address.",
    }),
    denyNetworks: setting(value.addressRanges(), {
      kind: "list",
      default: [],
      synonyms: ["deny", "denied_networks", "block"],
      doc: "IPs and CIDRs of clients that may not ask.",
    }),
    allowModules: setting(value.text(), {
      kind: "text",
      default: "",
      synonyms: ["modules", "allowed_modules", "patterns"],
      doc: "Comma-separated patterns of module paths that are served and looked up, in the grammar of `GOPRIVATE`. Empty is all. Private modules must be among them, too.",
    }),
    denyModules: setting(value.text(), {
      kind: "text",
      default: "",
      synonyms: ["denied_modules", "block_modules"],
      doc: "Patterns of module paths that are not served, stored or not, nor looked up in a checksum database.",
    }),
    contact: setting(value.text(), {
      kind: "text",
      default: "",
      synonyms: ["owner", "ask", "email"],
      doc: "Whom to ask about it, as it stands in the answer: a name, an address, a URL.",
    }),
  },
);
