import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[redis]`. */
export const redisSchema = section(
  "A Redis (6 or later) or Valkey that several nodes share: of those with one store, one fetches a cold version and the others wait for it; all hear at once what was purged or is new. Nothing depends on it: while it is down each node goes on by itself. Whoever may write there is believed, so it needs a password or a network of its own.",
  {
    url: setting(value.text(), {
      kind: "text",
      default: "",
      synonyms: ["address", "host", "server", "uri"],
      doc: "Where it is: `redis://host:6379`, or `rediss://…` with TLS, with `/1` at its end for another database than 0. Without it nodes know nothing of each other.",
    }),
    username: setting(value.text(), {
      kind: "text",
      default: "",
      synonyms: ["user"],
      doc: "User name, where Redis has users.",
    }),
    passwordFile: setting(value.optionalPath(), {
      kind: "path",
      default: "",
      synonyms: ["password", "secret"],
      doc: "File with the password. Line ends at its end do not count.",
    }),
    passwordEnv: setting(value.text(), {
      kind: "text",
      default: "",
      doc: "Name of the environment variable with the password.",
    }),
    caFile: setting(value.optionalPath(), {
      kind: "path",
      default: "",
      doc: "PEM file of certificate authorities to trust for `rediss:`, besides the system's.",
    }),
    prefix: setting(value.text(), {
      kind: "text",
      default: "sluice",
      synonyms: ["namespace", "key_prefix"],
      doc: "Begins every key and channel. Nodes with another prefix are another fleet.",
    }),
    leaseWaitMs: setting(value.duration({ min: 1 }), {
      kind: "duration",
      default: "15s",
      doc: "How long a cold version that another node is fetching is waited for, before it is fetched here, too.",
    }),
  },
);
