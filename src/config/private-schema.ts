import type { z } from "zod";
import { section, setting } from "./setting-facts.ts";
import * as value from "./values.ts";

/** The `credential` of one `[[private]]`. */
export const credentialSchema = section(
  "Who Sluice is to the host of private modules: the table `credential` of `[[private]]`.",
  {
    kind: setting(value.choice(["token", "password", "ssh", "github_app"]).default("token"), {
      kind: "choice",
      defaultDoc: '`"token"`',
      hidden: true,
      synonyms: ["type"],
      doc: "`token` and `password` are sent as Basic authorization over HTTPS, `ssh` is a key, `github_app` makes tokens of its own.",
    }),
    file: setting(value.path().optional(), {
      kind: "path",
      hidden: true,
      synonyms: ["password", "secret", "token", "key", "token_file", "password_file", "key_file", "path"],
      doc: "File with the token, password or private key. It is read at each use, so a new one needs no restart. Line ends at its end do not count.",
    }),
    env: setting(value.text().optional(), {
      kind: "text",
      hidden: true,
      synonyms: ["token_env", "password_env", "key_env", "variable"],
      doc: "Name of the environment variable with it.",
    }),
    command: setting(value.words().optional(), {
      kind: "list",
      hidden: true,
      synonyms: ["cmd", "exec", "helper"],
      doc: "Program and arguments, without a shell, that print it. Run again after 5 minutes, or when the host refuses what it printed.",
    }),
    username: setting(value.text().optional(), {
      kind: "text",
      defaultDoc: '`"x-access-token"` for a token',
      hidden: true,
      synonyms: ["user", "login"],
      doc: "User name for Basic authorization.",
    }),
    knownHosts: setting(value.path().optional(), {
      kind: "path",
      synonyms: ["known_hosts_file"],
      doc: "For `ssh`: file with the host's keys, as `ssh-keyscan` prints them. A host that is not in it, or has another key, is refused.",
    }),
    appId: setting(value.integer({ min: 1 }).optional(), { kind: "integer", doc: "For `github_app`: the App's ID." }),
    installationId: setting(value.integer({ min: 1 }).optional(), {
      kind: "integer",
      doc: "For `github_app`: the ID of the App's installation in the organization.",
    }),
    apiUrl: setting(value.text().optional(), {
      kind: "text",
      defaultDoc: '`"https://api.github.com"`',
      doc: "For `github_app`: the API of a GitHub server of your own, such as `https://github.example.com/api/v3`.",
    }),
  },
);

/** One `[[private]]`. */
export const privateSchema = section(
  "Modules that are private: where they are, and who Sluice is there. Their names are never sent to any upstream. May be repeated; the first that matches counts. In the environment: `SLUICE_PRIVATE`, the same list as inline TOML.",
  {
    pattern: setting(
      value
        .text({ missing: "is missing; write the module paths that are private, such as git.example.com/team" })
        .min(1, {
          error: "is empty; write the module paths that are private, such as git.example.com/team",
        }),
      {
        kind: "text",
        synonyms: ["patterns", "module", "modules", "path", "prefix"],
        doc: "Comma-separated patterns of module paths, in the grammar of `GOPRIVATE`. With `host`, `url` or an SSH key, what a pattern with a glob at its end spells out is the root of a repository; `/**` at its end is any depth.",
      },
    ),
    host: setting(value.text().optional(), {
      kind: "text",
      synonyms: ["server"],
      doc: "The git host that has them, when it is not the module path's own, or when that one has no go-import meta tags. Short for `url`.",
    }),
    url: setting(value.text().optional(), {
      kind: "text",
      hidden: true,
      synonyms: ["repo", "repository", "remote"],
      doc: "Where their repositories are, such as `ssh://git@git.example.com:2222/{path}.git`. `{host}` is the first element of the repository's root, `{path}` are the others, `{rest}` those that the pattern does not spell out. Without one of these it is one repository for all. Default: as `go` finds it.",
    }),
    caFile: setting(value.path().optional(), {
      kind: "path",
      doc: "PEM file of certificate authorities to trust for git hosts, besides the system's.",
    }),
    credential: setting(credentialSchema.optional(), {
      kind: "table",
      hidden: true,
      synonyms: ["credentials", "auth", "token", "password"],
      doc: "Who Sluice is there, see below. Default: what `.netrc` of Sluice's user says of the host.",
    }),
  },
);

export type PrivateRule = z.infer<typeof privateSchema>;
export type CredentialSettings = z.infer<typeof credentialSchema>;
