import { createPrivateKey, createSign, type KeyObject } from "node:crypto";
import { SluiceError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { Secret } from "../../../core/secret.ts";
import type { HttpClient } from "../../../net/http.ts";
import type { CredentialSpec } from "./credential.ts";

type GitHubApp = Extract<CredentialSpec, { kind: "github-app" }>;

export interface InstallationToken {
  readonly token: Secret;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

const maxAnswerBytes = 256 * 1024;
const timeoutMs = 30_000;

/** GitHub takes at most ten minutes, and clocks differ. */
const jwtBackdateSeconds = 60;
const jwtLifetimeSeconds = 540;

/**
 * Asks GitHub for a token of an App's installation. Fails with `upstream_refused` when GitHub does not take the key or knows no such
 * installation, with `upstream_failed` or `upstream_timeout` when it is down.
 */
export async function requestInstallationToken(
  app: GitHubApp,
  key: Secret,
  { http, clock }: { readonly http: HttpClient; readonly clock: Clock },
): Promise<InstallationToken> {
  const jwt = signJwt(app.appId, parseKey(key, app), Math.floor(clock.now() / 1000));
  const url = new URL(`${app.apiUrl}/app/installations/${encodeURIComponent(app.installationId)}/access_tokens`);
  const response = await http.get({
    url,
    method: "POST",
    headers: {
      authorization: `Bearer ${jwt}`,
      accept: "application/vnd.github+json",
      "x-github-api-version": "2022-11-28",
    },
    signal: AbortSignal.timeout(timeoutMs),
    maxBytes: maxAnswerBytes,
  });
  if (response.status !== 201) {
    response.discard();
    throw refusal(app, url, response.status);
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return parseAnswer(Buffer.concat(chunks).toString(), url);
}

/** A JSON Web Token (RFC 7519) signed with RS256, as GitHub wants it of Apps. */
export function signJwt(appId: string, key: KeyObject, nowSeconds: number): string {
  const header = encode({ alg: "RS256", typ: "JWT" });
  const claims = encode({ iat: nowSeconds - jwtBackdateSeconds, exp: nowSeconds + jwtLifetimeSeconds, iss: appId });
  const signature = createSign("sha256").update(`${header}.${claims}`).sign(key, "base64url");
  return `${header}.${claims}.${signature}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function parseKey(key: Secret, { appId }: GitHubApp): KeyObject {
  try {
    const parsed = createPrivateKey(key.reveal());
    if (parsed.asymmetricKeyType === "rsa") return parsed;
  } catch {
    // The reason may quote the key.
  }
  throw new SluiceError(
    "upstream_refused",
    `the private key of the GitHub App ${appId} is no RSA key in PEM; download a new one from the App's settings`,
  );
}

function parseAnswer(text: string, url: URL): InstallationToken {
  const { token, expires_at: expires }: { token?: unknown; expires_at?: unknown } = parseObject(text);
  const expiresAt = typeof expires === "string" ? Date.parse(expires) : Number.NaN;
  if (typeof token !== "string" || token === "" || Number.isNaN(expiresAt)) {
    throw new SluiceError("upstream_invalid", `${url.host}: answered something else than a token for a GitHub App`);
  }
  return { token: new Secret(token), expiresAt };
}

function parseObject(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

function refusal({ appId, installationId }: GitHubApp, { host }: URL, status: number): SluiceError {
  const context = { details: { upstream: host, status } };
  if (status === 401) {
    return new SluiceError(
      "upstream_refused",
      `${host}: refused the key of the GitHub App ${appId} (401); check app_id, the key and this machine's clock`,
      context,
    );
  }
  if (status === 404 || status === 403) {
    return new SluiceError(
      "upstream_refused",
      `${host}: the GitHub App ${appId} has no installation ${installationId} that it may use (${status}); check installation_id`,
      context,
    );
  }
  const code = status >= 500 || status === 429 ? "upstream_failed" : "upstream_refused";
  return new SluiceError(
    code,
    `${host}: answered ${status} when asked for a token of the GitHub App ${appId}`,
    context,
  );
}
