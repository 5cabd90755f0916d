import type { GitAccess } from "../remote-host.ts";
import type { Credentials } from "./credential.ts";
import type { Entitlement } from "./entitlement.ts";
import { gitEnvironment } from "./git-environment.ts";
import { explainHostKey } from "./host-key.ts";

/** How a remote is talked to for a module that may have so much. */
export type AccessRemote = (url: string, entitlement: Entitlement) => Promise<GitAccess>;

/** What mirrors and probes need to talk to a remote. `keyFolder` exists, and is where SSH keys stand while git runs. */
export function gitAccess(credentials: Credentials, keyFolder: string): AccessRemote {
  return async (url, entitlement) => {
    const remote = new URL(url);
    const credential = await credentials.forUrl(remote, entitlement);
    const environment = await gitEnvironment(credential, { folder: keyFolder });
    const explain =
      credential?.kind === "ssh"
        ? (signal: AbortSignal) => explainHostKey(remote, credential.knownHostsFile, signal)
        : undefined;
    return { ...environment, hasCredential: credential !== undefined, explainHostKey: explain };
  };
}

/** What discovery and `mod` hosts need for their requests. */
export function httpCredentials(credentials: Credentials) {
  return async (
    url: URL,
    entitlement: Entitlement,
  ): Promise<{ readonly username: string; readonly password: string } | undefined> => {
    const credential = await credentials.forUrl(url, entitlement);
    if (credential?.kind !== "basic") return undefined;
    return { username: credential.username, password: credential.password.reveal() };
  };
}
