import type { GitAccess } from "../remote-host.ts";
import type { HttpCredentials } from "../discovery/pages.ts";
import type { Credentials } from "./credential.ts";
import { gitEnvironment } from "./git-environment.ts";
import { explainHostKey } from "./host-key.ts";

/** What mirrors and probes need to talk to a remote. `keyFolder` exists, and is where SSH keys stand while git runs. */
export function gitAccess(credentials: Credentials, keyFolder: string): (url: string) => Promise<GitAccess> {
  return async (url) => {
    const remote = new URL(url);
    const credential = await credentials.forUrl(remote);
    const environment = await gitEnvironment(credential, { folder: keyFolder });
    const explain =
      credential?.kind === "ssh"
        ? (signal: AbortSignal) => explainHostKey(remote, credential.knownHostsFile, signal)
        : undefined;
    return { ...environment, hasCredential: credential !== undefined, explainHostKey: explain };
  };
}

/** What discovery and `mod` hosts need for their requests. */
export function httpCredentials(credentials: Credentials): HttpCredentials {
  return async (url) => {
    const credential = await credentials.forUrl(url);
    if (credential?.kind !== "basic") return undefined;
    return { username: credential.username, password: credential.password.reveal() };
  };
}
