import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** A certificate and its key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority that lives as long as a test. */
export interface Authority extends KeyPair {
  /** Signs a server certificate for names in openssl's form, such as `DNS:localhost` or `IP:127.0.0.1`. */
  issue(...names: readonly string[]): KeyPair;
}

/** Makes an authority with the machine's `openssl`: guard its users with `lacks("openssl", ["version"])`. */
export function createAuthority(): Authority {
  const subject = "/CN=Sluice test authority";
  const authority = makeCertificate(["-subj", subject, "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
  return {
    ...authority,
    issue: (...names) =>
      makeCertificate(
        [
          "-subj",
          "/CN=Sluice test server",
          "-addext",
          "basicConstraints=critical,CA:FALSE",
          "-addext",
          `subjectAltName=${names.join(",")}`,
        ],
        authority,
      ),
  };
}

/** A server certificate that no authority signed. */
export function createSelfSigned(...names: readonly string[]): KeyPair {
  return makeCertificate(["-subj", "/CN=Sluice test server", "-addext", `subjectAltName=${names.join(",")}`]);
}

function makeCertificate(args: readonly string[], signer?: KeyPair): KeyPair {
  const folder = mkdtempSync(path.join(tmpdir(), "sluice-ca-"));
  const file = (name: string): string => path.join(folder, name);
  try {
    const signing: string[] = [];
    if (signer !== undefined) {
      writeFileSync(file("ca.pem"), signer.cert);
      writeFileSync(file("ca.key"), signer.key);
      signing.push("-CA", file("ca.pem"), "-CAkey", file("ca.key"));
    }
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];
    const out = ["-keyout", file("key.pem"), "-out", file("cert.pem")];
    const { status, stderr } = spawnSync(
      "openssl",
      ["req", "-x509", "-days", "2", ...curve, ...args, ...signing, ...out],
      {
        encoding: "utf8",
      },
    );
    if (status !== 0) throw new Error(`openssl req failed: ${stderr}`);
    return { cert: readFileSync(file("cert.pem"), "utf8"), key: readFileSync(file("key.pem"), "utf8") };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
