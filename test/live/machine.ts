import { execFileSync } from "node:child_process";

/** The machine's own chain, as go itself would use it. */
export function machineChain(): string {
  return execFileSync("go", ["env", "GOPROXY"], { encoding: "utf8" }).trim();
}

/** How this machine gets out: behind a company's CA or proxy neither go nor Sluice reach anything without. */
export function egressEnvironment(): Record<string, string> {
  const pattern = /^(SSL_CERT_FILE|SSL_CERT_DIR|(https?|no)_proxy)$/i;
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    pattern.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  return Object.fromEntries(entries);
}
