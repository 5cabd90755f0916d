import {
  credentialSection,
  listSections,
  privateSection,
  sections,
  type Section,
  type Setting,
} from "../../src/config/settings.ts";
import { exampleConfig } from "./example-config.ts";
import { generatedNotice, table } from "./table.ts";

export function configPage(): string {
  return `${generatedNotice}

# Configuration

Sluice starts without any configuration. Every setting can come from four places; the first that has it wins:

1. a flag: \`sluice serve --listen :8080\`
2. an environment variable: \`SLUICE_LISTEN=:8080\`. An empty one counts as not set.
3. a TOML file, named by \`--config FILE\` or \`SLUICE_CONFIG=FILE\`
4. its default; for some of them that is a variable of Go (\`GOPROXY\`, \`GOPRIVATE\`, \`GONOPROXY\`, \`GOSUMDB\`, \`GONOSUMDB\`, \`GOINSECURE\`, \`GOVCS\`) in Sluice's own environment

\`sluice config check\` says what is wrong, \`sluice config print\` prints every setting with the place it came from, as TOML and
without secrets. Both take the flags, environment and file that \`serve\` does. What Sluice does not know (a key, a table, a flag,
a \`SLUICE_…\` variable) is an error with a suggestion, never ignored. Only \`SLUICE_TEST_…\`, and the variables that
Kubernetes makes for a service named \`sluice\`, are passed over.

## Changing it while Sluice runs

SIGHUP (\`systemctl reload\`, \`kill -HUP\`) makes a Sluice that runs read its file again, and the files with certificates and secrets that it names; with
\`watch_config\` of \`[server]\` it does so by itself. Requests under way are not disturbed. When something is wrong with the new
configuration, the old one stays in force and the log says why. What is marked with “Takes a restart” keeps the value that it had at the start; the log
names those that were changed.

## Values

${table(
  ["Kind", "In the file", "In the environment and flags"],
  [
    ["text, path", '`"/go"`', "`/go`"],
    ["duration", '`"250ms"`, `"60s"`, `"10m"`, `"24h"`, `"1m30s"`', "`60s`"],
    ["size", '`"512KiB"`, `"256MiB"`, `"1GiB"`', "`256MiB`"],
    ["number, yes or no", "`64`, `true`", "`64`, `true`"],
    ["list", '`["10.0.0.0/8", "::1"]`', "`10.0.0.0/8,::1`"],
  ],
)}

Passwords and tokens never stand in the file: it names another file (\`password_file\`) or a variable (\`password_env\`), and for private modules a command, too. User info
in a URL of the chain (\`https://user:password@host\`) works as it does for \`go\`; write it in the environment, not in the file.

${sections.map((section) => sectionPart(section, `[${section.name}]`)).join("\n\n")}

${listSections.map((section) => sectionPart(section, `[[${section.name}]]`)).join("\n\n")}

${sectionPart(privateSection, `[[${privateSection.name}]]`)}

${sectionPart(credentialSection, "credential")}

[Private modules](private-modules.md) has what to write for GitHub, GitLab, Gitea and plain SSH, and
[checksum databases](checksum-databases.md) what to write into \`[sumdb]\` and at the clients.

## Variables that others know too

${table(
  ["Variable", "What it does"],
  [
    ["`SLUICE_CONFIG`", "Names the configuration file."],
    [
      "`GOPROXY`, `GOPRIVATE`, `GONOPROXY`",
      "Defaults of `upstream.chain`, `upstream.private` and `upstream.no_proxy`.",
    ],
    ["`GOSUMDB`, `GONOSUMDB`", "Defaults of `sumdb.database` and `sumdb.no_verify`."],
    [
      "`SLUICE_SUMDB_KEY`",
      "A key of our own checksum database, as it stands in the file that `sluice sumdb init` writes.",
    ],
    ["`SLUICE_ADMIN_TOKEN`", "The token of `[admin]`, for Sluice and for the commands that ask it."],
    ["`GOINSECURE`, `GOVCS`", "Defaults of `git.insecure` and `git.vcs`."],
    ["`SLUICE_PRIVATE`", "All of `[[private]]`, as a list of inline tables of TOML."],
    [
      "`NETRC`, `HOME`",
      "Where `.netrc` is, whose entries are used for https hosts that no credential of `[[private]]` is about.",
    ],
    ["`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`", "Forward proxy for requests to upstreams, by Go's rules."],
    ["`SSL_CERT_FILE`, `SSL_CERT_DIR`", "Certificate authorities to trust instead of the system's."],
  ],
)}

## Example

\`\`\`toml
${exampleConfig.trim()}
\`\`\`
`;
}

function sectionPart({ doc, settings }: Section, title: string): string {
  const withNames = settings.some(({ envNames }) => envNames.length > 0);
  const head = withNames ? ["Key", "Variable", "Flag", "Default", "Meaning"] : ["Key", "Default", "Meaning"];
  const rows = settings.map((setting) => {
    const { key, flag, envNames, doc, restart } = setting;
    const names = [envNames.map(code).join(" or "), flag === undefined ? "" : code(`--${flag}`)];
    return [
      code(key),
      ...(withNames ? names : []),
      defaultText(setting),
      restart === true ? `${doc} Takes a restart.` : doc,
    ];
  });
  return `## \`${title}\`\n\n${doc}\n\n${table(head, rows)}`;
}

function defaultText({ default: value, defaultDoc }: Setting): string {
  if (defaultDoc !== undefined) return defaultDoc;
  return value === undefined ? "" : code(JSON.stringify(value));
}

function code(text: string): string {
  return `\`${text}\``;
}
