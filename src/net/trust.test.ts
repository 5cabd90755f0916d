import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadTrust, parseCertificates, withExtraCa } from "./trust.ts";

// Real certificates, of the list that comes with Node.
const [one = "", two = "", three = "", four = ""] = rootCertificates.map(
  (pem) => parseCertificates(pem)[0]?.trim() ?? "",
);

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-trust-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Writes files below the temporary folder and answers the path of the first. */
function write(files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return join(folder, Object.keys(files)[0] ?? "");
}

function load(env: Record<string, string>): ReturnType<typeof loadTrust> {
  const locations = {
    files: [join(folder, "absent.pem"), join(folder, "store.pem"), join(folder, "late.pem")],
    folders: [join(folder, "absent"), join(folder, "certs")],
  };
  return loadTrust({ env, platform: "linux", locations });
}

describe("the system's store", () => {
  test("is the first file there is and all folders, each certificate once", () => {
    write({ "store.pem": `${one}\n${two}`, "late.pem": three, "certs/two.pem": two, "certs/four.crt": four });
    const { certificates, sources, problems } = load({});
    expect(certificates).toHaveLength(3);
    expect(new Set(certificates)).toEqual(new Set([one, two, four]));
    expect(sources).toEqual([join(folder, "store.pem"), join(folder, "certs")]);
    expect(problems).toEqual([]);
  });

  test("SSL_CERT_FILE takes the place of the file and leaves the folders", () => {
    write({ "store.pem": one, "certs/two.pem": two, "own.pem": three });
    expect(load({ SSL_CERT_FILE: join(folder, "own.pem") }).certificates).toEqual([three, two]);
  });

  test("SSL_CERT_DIR takes the place of the folders, and is a list", () => {
    write({ "store.pem": one, "certs/two.pem": two, "a/three.pem": three, "b/four.pem": four });
    const env = { SSL_CERT_DIR: `${join(folder, "a")}:${join(folder, "b")}` };
    expect(load(env).certificates).toEqual([one, three, four]);
  });

  test("a named file that cannot be read is said, and the folders still count", () => {
    write({ "store.pem": one, "certs/two.pem": two });
    const { certificates, problems } = load({ SSL_CERT_FILE: join(folder, "nowhere.pem") });
    expect(certificates).toEqual([two]);
    expect(problems).toEqual([expect.stringContaining("nowhere.pem cannot be read (ENOENT)")]);
  });

  test("without any, the roots of Node are used and that is said", () => {
    const { certificates, sources, problems } = load({});
    expect(certificates.length).toBeGreaterThan(50);
    expect(sources).toEqual(["Node.js"]);
    expect(problems).toEqual([expect.stringContaining("ca-certificates")]);
  });

  test("an empty store that was named is not widened to the roots of Node", () => {
    const { certificates, problems } = load({ SSL_CERT_FILE: write({ "empty.pem": "" }) });
    expect(certificates).toEqual([]);
    expect(problems).toEqual([expect.stringContaining("hold no certificate")]);
  });

  test("links beside a certificate, sub-folders and other files in a folder do no harm", () => {
    write({
      "certs/one.pem": one,
      "certs/README": "no certificate",
      "certs/java/cacerts": "binary",
      "shared/two.pem": two,
    });
    symlinkSync("one.pem", join(folder, "certs/0a1b2c3d.0"));
    symlinkSync("../shared/two.pem", join(folder, "certs/two.pem"));
    symlinkSync("../shared/gone.pem", join(folder, "certs/gone.pem"));
    expect(new Set(load({}).certificates)).toEqual(new Set([one, two]));
  });
});

describe("certificates in a text", () => {
  test("what is broken or something else is passed over", () => {
    const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    expect(parseCertificates([`# a comment\n${one}`, key, broken, two].join("\n")).map((pem) => pem.trim())).toEqual([
      one,
      two,
    ]);
  });

  test("line ends and line lengths do not make another certificate", () => {
    const body = one.replace(/-----[A-Z ]+-----|\s/g, "");
    const other = `-----BEGIN CERTIFICATE-----\r\n${body}\r\n-----END CERTIFICATE-----\r\n`;
    expect(parseCertificates(other)).toEqual(parseCertificates(one));
  });
});

describe("an extra CA", () => {
  test("joins the others", () => {
    write({ "store.pem": one });
    const trust = withExtraCa(load({}), `${two}\n${one}`, "ca_file /etc/corp.pem");
    expect(trust.certificates.map((pem) => pem.trim())).toEqual([one, two]);
    expect(trust.sources).toEqual([join(folder, "store.pem"), "ca_file /etc/corp.pem"]);
  });

  test("without a certificate is refused in words", () => {
    write({ "store.pem": one });
    expect(() => withExtraCa(load({}), "DER or so", "ca_file /etc/corp.der")).toThrow(
      expect.objectContaining({ code: "config_invalid", message: expect.stringContaining("ca_file /etc/corp.der") }),
    );
  });
});
