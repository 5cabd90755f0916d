import { spawn } from "node:child_process";
import { generateKeyPairSync, verify } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { createHttpClient } from "../../src/net/http-client.ts";
import type { CredentialRule, Credentials, SecretSource } from "../../src/sources/git/credentials/credential.ts";
import { createCredentials } from "../../src/sources/git/credentials/credentials.ts";
import { gitEnvironment } from "../../src/sources/git/credentials/git-environment.ts";
import { explainHostKey } from "../../src/sources/git/credentials/host-key.ts";
import { createAuthority } from "../support/certificates.ts";
import { gitFixtures } from "../support/git-fixtures.ts";
import { buildRepo, fixtureGitEnv } from "../support/git-repos.ts";
import { type GitServer, startGitServer } from "../support/git-server.ts";
import { serveHttp } from "../support/loopback.ts";
import { lacks } from "../support/needs.ts";
import { lacksSsh, startSshServer } from "../support/ssh-server.ts";

const secret = "hunter2-hunter2";

interface Setup {
  readonly rules: readonly CredentialRule[];
  readonly env?: Record<string, string>;
  readonly now?: () => number;
}

function setUp({ rules, env = {}, now = () => Date.now() }: Setup): Credentials {
  const http = createHttpClient({ ca: [], userAgent: "test", instanceId: "test" });
  onTestFinished(() => http.close());
  return createCredentials({ rules, env: { PATH: process.env["PATH"], ...env }, http, clock: { ...systemClock, now } });
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-credentials-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function basicRule(remote: string, password: SecretSource, username = "me"): CredentialRule {
  return {
    name: "[[private]] corp.example",
    patterns: "corp.example",
    remote: new URL(remote),
    credential: { kind: "basic", username, password },
  };
}

/** Lists a remote as the mirrors do, and everything that git wrote. Meanwhile `during` may look around. */
async function listRemote(credentials: Credentials, url: string, during?: () => Promise<void>): Promise<string> {
  const folder = await temporaryFolder();
  const git = await gitEnvironment(await credentials.forUrl(new URL(url), "all"), { folder });
  const child = spawn("git", ["ls-remote", "--", url], {
    cwd: folder,
    env: {
      ...fixtureGitEnv(),
      GIT_TERMINAL_PROMPT: "0",
      GIT_TRACE: "1",
      GIT_TRACE_CURL: "1",
      GIT_TRACE_REDACT: "1",
      ...git.env,
    },
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise((resolve) => {
    child.on("close", resolve);
  });
  await during?.();
  await ended;
  await git.dispose();
  expect(await readdir(folder)).toEqual([]);
  return output;
}

async function commandLines(): Promise<string> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.join("\n");
}

async function startProtected(): Promise<GitServer> {
  const root = await temporaryFolder();
  await buildRepo(join(root, "team/lib.git"), gitFixtures.tagtests);
  const server = await startGitServer({ root, credentials: [{ username: "me", password: secret }] });
  onTestFinished(() => server.close());
  return server;
}

describe("a password", () => {
  it("comes from a file, a variable or a command, and changes without a restart", async () => {
    const server = await startProtected();
    const url = `${server.url}/team/lib.git`;
    const file = join(await temporaryFolder(), "password");
    const env: Record<string, string> = { PASSWORD: secret };
    const sources: readonly SecretSource[] = [
      { kind: "file", file },
      { kind: "env", name: "PASSWORD" },
      { kind: "command", command: ["cat", file] },
    ];
    await writeFile(file, `${secret}\r\n`);
    for (const source of sources) {
      const credentials = setUp({ rules: [basicRule(server.url, source)], env });
      expect(await listRemote(credentials, url)).toContain("refs/tags/v0.2.1");
    }

    const credentials = setUp({ rules: [basicRule(server.url, { kind: "file", file })] });
    await writeFile(file, "wrong");
    expect(await listRemote(credentials, url)).toContain("Authentication failed");
    await writeFile(file, secret);
    expect(await listRemote(credentials, url)).toContain("refs/tags/v0.2.1");
  });

  it("of a command is remembered until the host refuses it", async () => {
    const file = join(await temporaryFolder(), "password");
    const url = new URL("https://git.example/a");
    const credentials = setUp({
      rules: [basicRule("https://git.example/", { kind: "command", command: ["cat", file] })],
    });
    const password = async (): Promise<string | undefined> => {
      const credential = await credentials.forUrl(url, "all");
      return credential?.kind === "basic" ? credential.password.reveal() : undefined;
    };
    await writeFile(file, "first");
    expect(await password()).toBe("first");
    await writeFile(file, "second");
    expect(await password()).toBe("first");
    credentials.refused(url);
    expect(await password()).toBe("second");
  });

  it("is in no argument of a process, in nothing git writes, and not in what is printed", async () => {
    const server = await startProtected();
    const credentials = setUp({ rules: [basicRule(server.url, { kind: "env", name: "P" })], env: { P: secret } });
    const gate = Promise.withResolvers<void>();
    server.setFault(({ headers }) => headers.authorization !== undefined, { kind: "delay", until: gate.promise });
    let seen = "";
    const output = await listRemote(credentials, `${server.url}/team/lib.git`, async () => {
      await server.arrived(({ headers }) => headers.authorization !== undefined);
      seen = await commandLines();
      gate.resolve();
    });
    expect(seen).toContain("ls-remote");
    expect(output).toContain("refs/tags/v0.2.1");
    const credential = await credentials.forUrl(new URL(server.url), "all");
    const written = [seen, output, inspect(credential, { depth: 9, showHidden: true }), JSON.stringify(credential)];
    for (const text of [secret, Buffer.from(`me:${secret}`).toString("base64"), encodeURIComponent(secret)]) {
      expect(written.filter((one) => one.includes(text))).toEqual([]);
    }
  });

  it("does not go along to the host of a redirect", async () => {
    const other = await startProtected();
    const first = await serveHttp((request, response) => {
      response.writeHead(301, { location: `http://localhost:${other.port}${request.url}` }).end();
    });
    const rule = basicRule(first.url().href, { kind: "env", name: "P" });
    const credentials = setUp({ rules: [rule], env: { P: secret } });
    expect(await listRemote(credentials, first.url("/team/lib.git").href)).toContain("could not read Username");
    expect(other.requests.length).toBeGreaterThan(0);
    expect(other.requestsFor(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it.each([
    [{ kind: "file", file: "/nonexistent/x" }, "the file /nonexistent/x: it does not exist"],
    [{ kind: "env", name: "UNSET" }, "the variable UNSET: it is not set"],
    [
      { kind: "command", command: ["sh", "-c", `echo ${secret} >&2; exit 3`] },
      "the command sh: it ended with exit code 3",
    ],
    [{ kind: "command", command: ["no-such-program", secret] }, "the command no-such-program: it does not exist"],
  ] as const)("that cannot be read is an error for the operator: %j", async (source, problem) => {
    const credentials = setUp({ rules: [basicRule("https://git.example/", source)] });
    await expect(credentials.forUrl(new URL("https://git.example/a"), "all")).rejects.toMatchObject({
      code: "upstream_refused",
      message: `the credential of [[private]] corp.example cannot be read from ${problem}`,
    });
  });

  it("with a line end in it is refused, as git would read a field of its own", async () => {
    const credentials = setUp({
      rules: [basicRule("https://git.example/", { kind: "env", name: "P" })],
      env: { P: "a\nhost=x" },
    });
    const credential = await credentials.forUrl(new URL("https://git.example/a"), "all");
    await expect(gitEnvironment(credential)).rejects.toMatchObject({ code: "upstream_refused" });
  });
});

it("what no rule is about comes from .netrc, for https only", async () => {
  const file = join(await temporaryFolder(), "netrc");
  await writeFile(file, `machine git.example:8443 login port password p1\nmachine git.example login me password p2\n`);
  const credentials = setUp({
    rules: [basicRule("https://git.example/rule/", { kind: "env", name: "P" })],
    env: { P: "p0", NETRC: file },
  });
  const shown = async (url: string): Promise<string> => {
    const credential = await credentials.forUrl(new URL(url), "all");
    return credential?.kind === "basic" ? `${credential.username}:${credential.password.reveal()}` : "none";
  };
  expect(await shown("https://git.example/rule/a")).toBe("me:p0");
  expect(await shown("https://git.example/a")).toBe("me:p2");
  expect(await shown("https://git.example:8443/a")).toBe("port:p1");
  expect(await shown("http://git.example/a")).toBe("none");
  expect(await shown("https://other.example/a")).toBe("none");
});

describe("a GitHub App", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = privateKey.export({ type: "pkcs1", format: "pem" });

  /** Gives tokens to who has a good JWT of app 7, as GitHub does. */
  async function startGitHub(now: () => number): Promise<{ apiUrl: string; asked: string[] }> {
    const asked: string[] = [];
    const server = await serveHttp((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const problem = jwtProblem((request.headers.authorization ?? "").replace("Bearer ", ""), now());
      const status = problem === undefined ? (request.url === "/app/installations/42/access_tokens" ? 201 : 404) : 401;
      const expires = new Date(now() + 3_600_000).toISOString().replace(/\.\d+/, "");
      response.writeHead(status, { "content-type": "application/json" });
      response.end(
        JSON.stringify(status === 201 ? { token: `token-${asked.length}`, expires_at: expires } : { problem }),
      );
    });
    return { apiUrl: server.url("").href.replace(/\/$/, ""), asked };
  }

  function jwtProblem(jwt: string, nowMs: number): string | undefined {
    const [header = "", claims = "", signature = ""] = jwt.split(".");
    const decode = (part: string): Record<string, unknown> => JSON.parse(Buffer.from(part, "base64url").toString());
    const isSigned = verify(
      "sha256",
      Buffer.from(`${header}.${claims}`),
      publicKey,
      Buffer.from(signature, "base64url"),
    );
    if (!isSigned || decode(header)["alg"] !== "RS256") return "signature";
    const { iss, iat, exp } = decode(claims);
    if (iss !== "7" || typeof iat !== "number" || typeof exp !== "number") return "claims";
    const seconds = nowMs / 1000;
    return iat > seconds || exp <= seconds || exp - iat > 600 ? "times" : undefined;
  }

  function appRule(apiUrl: string, installationId = "42", appId = "7"): CredentialRule {
    const credential = {
      kind: "github-app",
      appId,
      installationId,
      apiUrl,
      key: { kind: "env", name: "KEY" },
    } as const;
    return { name: "rule", patterns: "github.com/acme", credential };
  }

  it("gets one token for all, and a new one before it ends or when it is refused", async () => {
    let now = Date.parse("2026-01-01T00:00:00Z");
    const { apiUrl, asked } = await startGitHub(() => now);
    const credentials = setUp({ rules: [appRule(apiUrl)], env: { KEY: pem }, now: () => now });
    const url = new URL("https://github.com/acme/lib.git");
    const token = async (): Promise<string> => {
      const credential = await credentials.forUrl(url, "all");
      return credential?.kind === "basic" ? `${credential.username}:${credential.password.reveal()}` : "none";
    };
    expect(await Promise.all([token(), token(), token()])).toEqual(Array(3).fill("x-access-token:token-1"));
    now += 49 * 60_000;
    expect(await token()).toBe("x-access-token:token-1");
    now += 2 * 60_000;
    expect(await Promise.all([token(), token()])).toEqual(Array(2).fill("x-access-token:token-2"));
    credentials.refused(url);
    expect(await token()).toBe("x-access-token:token-3");
    expect(asked).toEqual(Array(3).fill("POST /app/installations/42/access_tokens"));
  });

  it.each([
    [{ appId: "8" }, pem, "refused the key of the GitHub App 8 (401)"],
    [{ installationId: "43" }, pem, "has no installation 43 that it may use (404)"],
    [{}, secret, "the private key of the GitHub App 7 is no RSA key in PEM"],
  ])(
    "says what is wrong: %j",
    async ({ appId, installationId }: { appId?: string; installationId?: string }, key, problem) => {
      const { apiUrl } = await startGitHub(() => Date.now());
      const credentials = setUp({ rules: [appRule(apiUrl, installationId, appId)], env: { KEY: key } });
      const failure = await credentials
        .forUrl(new URL("https://github.com/acme/lib"), "all")
        .catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: "upstream_refused", message: expect.stringContaining(problem) });
      expect(inspect(failure, { depth: 9 })).not.toMatch(/hunter2|BEGIN|eyJ/);
    },
  );
});

describe.skipIf(lacksSsh())("an SSH key", () => {
  async function startSsh() {
    const root = await temporaryFolder();
    await buildRepo(join(root, "team/lib.git"), gitFixtures.tagtests);
    const server = await startSshServer({ root });
    onTestFinished(() => server.close());
    const rule = (file: string, knownHostsFile = server.knownHostsFile): CredentialRule => ({
      name: "rule",
      patterns: "corp.example",
      remote: new URL(`${server.url}/`),
      credential: { kind: "ssh", key: { kind: "file", file }, knownHostsFile },
    });
    return { server, rule, url: `${server.url}/team/lib.git` };
  }

  it("opens a repository, also from a file that everybody may read, and leaves no copy behind", async () => {
    const { server, rule, url } = await startSsh();
    const folder = await temporaryFolder();
    const file = join(folder, "key");
    await writeFile(file, (await readFile(server.keyFile, "utf8")).trimEnd(), { mode: 0o644 });
    const known = join(folder, "known hosts %h");
    await writeFile(known, await readFile(server.knownHostsFile));
    let seen = "";
    const output = await listRemote(setUp({ rules: [rule(file, known)] }), url, async () => {
      seen = await commandLines();
    });
    expect(output).toContain("refs/tags/v0.2.1");
    expect(seen + output).not.toContain("PRIVATE KEY");
  });

  it("that the host does not know is refused, and so is no key at all", async () => {
    const { server, rule, url } = await startSsh();
    expect(await listRemote(setUp({ rules: [rule(server.strangerKeyFile)] }), url)).toContain(
      "Permission denied (publickey",
    );
    const before = server.connections;
    expect(await listRemote(setUp({ rules: [] }), url)).toContain("Permission denied (publickey");
    expect(server.connections).toBe(before);
  });

  it("is not shown to a host that is unknown or has changed; the fingerprint is told", async () => {
    const { server, rule, url } = await startSsh();
    const empty = join(await temporaryFolder(), "known_hosts");
    await writeFile(empty, "");
    const { signal } = new AbortController();
    expect(await listRemote(setUp({ rules: [rule(server.keyFile, empty)] }), url)).toContain(
      "Host key verification failed",
    );
    const unknown = await explainHostKey(new URL(url), empty, signal);
    expect(unknown).toContain(`its SSH key ${server.fingerprint()} (ssh-ed25519) is not in ${empty}`);
    expect(unknown).toContain(`ssh-keyscan -p ${server.port} 127.0.0.1`);

    const old = server.fingerprint();
    await server.changeHostKey();
    expect(await listRemote(setUp({ rules: [rule(server.keyFile)] }), url)).toContain("Host key verification failed");
    const changed = await explainHostKey(new URL(url), server.knownHostsFile, signal);
    expect(changed).toContain(`it has another SSH key ${server.fingerprint()} (ssh-ed25519) than ${old}; once`);
    expect(await server.commands()).toEqual([]);
  });
});

it.skipIf(lacks("openssl", ["version"]))("a password is shown over TLS", async () => {
  const root = await temporaryFolder();
  await buildRepo(join(root, "team/lib.git"), gitFixtures.tagtests);
  const authority = createAuthority();
  const server = await startGitServer({
    root,
    tls: authority.issue("IP:127.0.0.1"),
    credentials: [{ username: "me", password: secret }],
  });
  onTestFinished(() => server.close());
  const ca = join(root, "ca.pem");
  await writeFile(ca, authority.cert);
  const credentials = setUp({ rules: [basicRule(server.url, { kind: "env", name: "P" })], env: { P: secret } });
  const { env } = await gitEnvironment(await credentials.forUrl(new URL(`${server.url}/team/lib.git`), "all"));
  const child = spawn("git", ["ls-remote", "--", `${server.url}/team/lib.git`], {
    env: { ...fixtureGitEnv(), ...env, GIT_SSL_CAINFO: ca },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let output = "";
  for await (const chunk of child.stdout) output += String(chunk);
  expect(output).toContain("refs/tags/v0.2.1");
});
