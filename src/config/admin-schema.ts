import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** `[admin]`. */
export const adminSchema = section(
  "Who may purge, switch offline and see the status (`/-/…`, and `sluice purge`, `sluice offline`, `sluice status`): whoever has the token. `SLUICE_ADMIN_TOKEN` may hold the token itself. Without any of these Sluice makes `<data>/admin.token` at its first start, which only its own user can read, so that the commands just work on the same machine.",
  {
    tokenFile: setting(value.optionalPath(), {
      kind: "path",
      default: "",
      synonyms: ["token", "secret", "password_file"],
      doc: "File with the token, of at least 16 characters. Line ends at its end do not count.",
    }),
    tokenEnv: setting(value.text(), {
      kind: "text",
      default: "",
      synonyms: ["env", "password_env"],
      doc: "Name of the environment variable with the token.",
    }),
  },
);
