import { X509Certificate } from "node:crypto";
import { type Dirent, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { SluiceError } from "../core/errors.ts";
import type { Environment } from "./egress.ts";

/** The authorities whose TLS certificates are believed. */
export interface Trust {
  /** In PEM, one certificate each, without repetitions. */
  readonly certificates: readonly string[];
  /** Where they are from, for people: files and folders, `the system`, or `Node.js`. */
  readonly sources: readonly string[];
  /** What an operator should know, as whole sentences: a file that cannot be read, no store at all. */
  readonly problems: readonly string[];
}

export interface TrustOptions {
  readonly env: Environment;
  readonly platform?: NodeJS.Platform;
  /** Where Linux keeps its store; the first file that can be read counts, and every folder. */
  readonly locations?: { readonly files: readonly string[]; readonly folders: readonly string[] };
}

// The places Go looks in, in its order.
const linuxStore = {
  files: [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt", // Fedora, RHEL 6
    "/etc/ssl/ca-bundle.pem", // openSUSE
    "/etc/pki/tls/cacert.pem", // OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
    "/etc/ssl/cert.pem", // Alpine, macOS, BSD
    "/usr/local/etc/ssl/cert.pem", // FreeBSD
    "/usr/local/share/certs/ca-root-nss.crt", // DragonFly
  ],
  folders: ["/etc/ssl/certs", "/etc/pki/tls/certs"],
};

/**
 * The system's certificate store as Go reads it, which is where a company puts its own CA. Node's default is the list that came
 * with Node; its `--use-openssl-ca` and `NODE_EXTRA_CA_CERTS` have to be there when it starts. SSL_CERT_FILE takes the place of
 * the store's file, and SSL_CERT_DIR, a list separated by colons, that of its folders.
 */
export function loadTrust({ env, platform = process.platform, locations = linuxStore }: TrustOptions): Trust {
  const file = env["SSL_CERT_FILE"] ?? "";
  const folders = env["SSL_CERT_DIR"] ?? "";
  const isNamed = file !== "" || folders !== "";
  const hasFiles = platform !== "darwin" && platform !== "win32";
  const found = new Collection();
  if (!hasFiles) found.add(getCACertificates("system"), "the system");
  if (file !== "") found.addFile(file, "SSL_CERT_FILE");
  else if (hasFiles) locations.files.some((path) => found.addFile(path));
  if (folders !== "") for (const folder of folders.split(":")) found.addFolder(folder, "SSL_CERT_DIR");
  else if (hasFiles) for (const folder of locations.folders) found.addFolder(folder);

  if (found.certificates.size === 0 && isNamed) {
    found.problems.push(
      "SSL_CERT_FILE and SSL_CERT_DIR hold no certificate, so that no https upstream will be trusted.",
    );
  } else if (found.certificates.size === 0) {
    found.add(getCACertificates("bundled"), "Node.js");
    found.problems.push(
      "This system has no certificate store, so that the one of Node.js is used. Install the package ca-certificates, or set SSL_CERT_FILE.",
    );
  }
  return found.trust();
}

/** The same authorities and those of a PEM text, such as the content of `ca_file`. Fails with `config_invalid` when it holds none. */
export function withExtraCa(trust: Trust, pem: string, source: string): Trust {
  const extra = parseCertificates(pem);
  if (extra.length === 0) {
    throw new SluiceError(
      "config_invalid",
      `${source} holds no certificate in PEM form. Name the file with the CA's certificate.`,
    );
  }
  const certificates = [...new Set([...trust.certificates, ...extra])];
  return { certificates, sources: [...trust.sources, source], problems: trust.problems };
}

/** The certificates of a PEM text, in one form of writing. What is not a certificate, or a broken one, is passed over, as Go does. */
export function parseCertificates(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block).toString().trim()];
    } catch {
      return [];
    }
  });
}

class Collection {
  readonly certificates = new Set<string>();
  readonly sources: string[] = [];
  readonly problems: string[] = [];

  add(certificates: readonly string[], source: string): void {
    for (const certificate of certificates) this.certificates.add(certificate.trim());
    if (certificates.length > 0) this.sources.push(source);
  }

  /** False when it cannot be read. Only what a person named is worth a word then. */
  addFile(path: string, name?: string): boolean {
    const pem = this.#read(() => readFileSync(path, "latin1"), name && `${name}=${path}`);
    if (pem === undefined) return false;
    this.add(parseCertificates(pem), path);
    return true;
  }

  addFolder(folder: string, name?: string): void {
    const entries = this.#read(() => readdirSync(folder, { withFileTypes: true }), name && `${name}=${folder}`);
    const certificates = (entries ?? [])
      .filter((entry) => !isAlias(folder, entry))
      .flatMap((entry) => parseCertificates(this.#read(() => readFileSync(join(folder, entry.name), "latin1")) ?? ""));
    this.add(certificates, folder);
  }

  trust(): Trust {
    return { certificates: [...this.certificates], sources: this.sources, problems: this.problems };
  }

  #read<T>(read: () => T, name?: string): T | undefined {
    try {
      return read();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
      if (name !== undefined) this.problems.push(`${name} cannot be read (${code}).`);
      return undefined;
    }
  }
}

/** The links that c_rehash makes beside a certificate's file, so that it is not parsed twice. */
function isAlias(folder: string, entry: Dirent): boolean {
  return entry.isSymbolicLink() && !readlinkSync(join(folder, entry.name)).includes("/");
}
