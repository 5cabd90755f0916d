import { execFile } from "node:child_process";
import { createHash } from "node:crypto";

export interface HostKey {
  /** Such as `ssh-ed25519`. */
  readonly type: string;
  /** As ssh prints it: `SHA256:…`. */
  readonly fingerprint: string;
}

const timeoutMs = 10_000;

/**
 * Why a host's SSH key was refused and what to do, when git failed with `Host key verification failed`. Asks the host for its key, as
 * ssh does not tell the fingerprint of a key that it does not know. Undefined when the host does not answer.
 */
export async function explainHostKey(
  url: URL,
  knownHostsFile: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { hostname } = url;
  const port = url.port === "" ? "22" : url.port;
  const offered = parseKeys(await run("ssh-keyscan", ["-T", "8", "-p", port, "--", hostname], signal));
  if (offered.length === 0) return undefined;
  const name = port === "22" ? hostname : `[${hostname}]:${port}`;
  const known = parseKeys(await run("ssh-keygen", ["-F", name, "-f", knownHostsFile], signal));
  // Errors have little room, and one key is enough to compare.
  const shown = offered.find(({ type }) => type === "ssh-ed25519") ?? offered[0];
  const before = known.find(({ type }) => type === shown?.type) ?? known[0];
  const now = `SSH key ${shown?.fingerprint} (${shown?.type})`;
  if (before === undefined) {
    return `its ${now} is not in ${knownHostsFile}; once its operator confirmed it, add the output of ssh-keyscan -p ${port} ${hostname}`;
  }
  return `it has another ${now} than ${before.fingerprint}; once its operator confirmed it, renew it in ${knownHostsFile} with ssh-keyscan`;
}

/** Lines of `host type base64`, as both programs print them. */
export function parseKeys(text: string): HostKey[] {
  return [...text.matchAll(/^[^#\s]\S* (?:\S+ )?((?:ssh|ecdsa|sk)-\S+) ([A-Za-z0-9+/=]+)/gm)].map(
    ([, type = "", key = ""]) => ({
      type,
      fingerprint: `SHA256:${createHash("sha256").update(Buffer.from(key, "base64")).digest("base64").replace(/=+$/, "")}`,
    }),
  );
}

/** Both programs end with 1 when they find nothing. */
function run(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    execFile(program, args, { signal, timeout: timeoutMs }, (_error, stdout) => resolve(stdout));
  });
}
