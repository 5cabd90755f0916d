import type { Secret } from "../../../core/secret.ts";
import type { Entitlement } from "./entitlement.ts";

/** Where a secret is read, each time anew. */
export type SecretSource =
  | { readonly kind: "file"; readonly file: string }
  | { readonly kind: "env"; readonly name: string }
  /** A program and its arguments, without a shell. What it prints is the secret. */
  | { readonly kind: "command"; readonly command: readonly [string, ...string[]] };

/** What a rule of the configuration says of a credential. */
export type CredentialSpec =
  /** For Basic authorization: a password, or a token with whatever user name its host wants. */
  | { readonly kind: "basic"; readonly username: string; readonly password: SecretSource }
  | { readonly kind: "ssh"; readonly key: SecretSource; readonly knownHostsFile: string }
  | {
      readonly kind: "github-app";
      readonly appId: string;
      readonly installationId: string;
      /** The App's private key in PEM. */
      readonly key: SecretSource;
      /** Such as `https://api.github.com`, without trailing slash. */
      readonly apiUrl: string;
    };

/**
 * Which URLs a credential is sent to. The host and path of the URL are compared with patterns in the grammar of GOPRIVATE, a `.git`
 * at the end left out. Without `remote`, https and ssh are meant.
 */
export interface CredentialRule {
  /** As the configuration calls it, for messages. */
  readonly name: string;
  readonly patterns: string;
  /** Besides the patterns: everything below this URL, of its scheme, host and port. The one way to plain http. */
  readonly remote?: URL | undefined;
  readonly credential: CredentialSpec;
}

/** What a host is shown. */
export type GitCredential =
  | {
      readonly kind: "basic";
      /** The scheme, host and port that it is for. */
      readonly origin: string;
      readonly username: string;
      readonly password: Secret;
    }
  | { readonly kind: "ssh"; readonly key: Secret; readonly knownHostsFile: string };

export interface Credentials {
  /**
   * The credential for a URL with the scheme https, http or ssh, by the first rule that is about it, else by `.netrc`, as far as the
   * module that it is for may have it. Fails with
   * `upstream_refused` when there is a rule and its secret cannot be had, and with an `upstream_*` code when GitHub does not
   * give a token.
   */
  forUrl(url: URL, entitlement: Entitlement): Promise<GitCredential | undefined>;
  /** The host did not take what it was shown: what was remembered for the URL is asked for anew next time. */
  refused(url: URL): void;
}
