import type { Clock } from "../../../core/ports.ts";
import type { Environment } from "../../../net/egress.ts";
import type { HttpClient } from "../../../net/http.ts";
import type { CredentialRule, Credentials, CredentialSpec, GitCredential } from "./credential.ts";
import { type InstallationToken, requestInstallationToken } from "./github-app.ts";
import { findInNetrc } from "./netrc.ts";
import { isInScope } from "./scope.ts";
import { createSecretReader, type SecretReader } from "./secret-source.ts";

export interface CredentialsOptions {
  /** The first that is about a URL counts. */
  readonly rules: readonly CredentialRule[];
  /** Of this process: NETRC, HOME, and what the rules name. */
  readonly env: Environment;
  /** For GitHub Apps. Stays the caller's. */
  readonly http: HttpClient;
  readonly clock: Clock;
}

/** An installation token is replaced this long before it ends, so that the longest fetch ends with a good one. */
const renewBeforeMs = 10 * 60_000;

/** GitHub wants some user name with a token; it does not look at it. */
const tokenUsername = "x-access-token";

interface Parts extends CredentialsOptions {
  readonly secrets: SecretReader;
  readonly tokens: Map<CredentialSpec, Promise<InstallationToken>>;
}

/** The one rule set that says who Sluice is to the hosts of private modules (DESIGN §1.5). */
export function createCredentials(options: CredentialsOptions): Credentials {
  const { rules, env, clock } = options;
  const parts: Parts = { ...options, secrets: createSecretReader(env, () => clock.now()), tokens: new Map() };
  const ruleFor = (url: URL): CredentialRule | undefined => rules.find((rule) => isInScope(rule, url));
  return {
    async forUrl(url, entitlement) {
      if (entitlement === "none") return undefined;
      const rule = entitlement === "all" ? ruleFor(url) : undefined;
      if (rule !== undefined) return resolveRule(rule, url, parts);
      const entry = await findInNetrc(url, env);
      if (entry === undefined) return undefined;
      return { kind: "basic", origin: url.origin, username: entry.login, password: entry.password };
    },
    refused(url) {
      const credential = ruleFor(url)?.credential;
      if (credential === undefined) return;
      parts.tokens.delete(credential);
      parts.secrets.forget(credential.kind === "basic" ? credential.password : credential.key);
    },
  };
}

async function resolveRule({ name, credential }: CredentialRule, url: URL, parts: Parts): Promise<GitCredential> {
  const { origin } = url;
  if (credential.kind === "basic") {
    const password = await parts.secrets.read(credential.password, `the credential of ${name}`);
    return { kind: "basic", origin, username: credential.username, password };
  }
  if (credential.kind === "ssh") {
    const key = await parts.secrets.read(credential.key, `the SSH key of ${name}`);
    return { kind: "ssh", key, knownHostsFile: credential.knownHostsFile };
  }
  const { token } = await installationToken(name, credential, parts);
  return { kind: "basic", origin, username: tokenUsername, password: token };
}

/** One request for a token at a time, however many ask. */
async function installationToken(
  name: string,
  app: Extract<CredentialSpec, { kind: "github-app" }>,
  parts: Parts,
): Promise<InstallationToken> {
  const { tokens, secrets, clock } = parts;
  for (let pending = tokens.get(app); pending !== undefined; pending = tokens.get(app)) {
    const known = await pending;
    if (clock.now() < known.expiresAt - renewBeforeMs) return known;
    if (tokens.get(app) === pending) tokens.delete(app);
  }
  const next = secrets
    .read(app.key, `the private key of the GitHub App of ${name}`)
    .then((key) => requestInstallationToken(app, key, parts));
  tokens.set(app, next);
  next.catch(() => {
    if (tokens.get(app) === next) tokens.delete(app);
  });
  return next;
}
