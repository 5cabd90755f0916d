import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { portOf } from "./loopback.ts";
import { lacks } from "./needs.ts";

const sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].find((file) => existsSync(file)) ?? "sshd";

/** Guard of every test that uses `startSshServer`. */
export function lacksSsh(): boolean {
  return lacks("ssh", ["-V"]) || lacks("test", ["-x", sshd]);
}

export interface SshServerOptions {
  /** Folder of the repositories: `<root>/team/a.git` is served as `/team/a.git`. */
  readonly root: string;
  /** What is said on standard error where there is no repository, `%s` being its path. Default: git's own words. */
  readonly absent?: string;
  /** The same for single paths, whatever is there: `{ "team/a.git": "…" }`. */
  readonly refused?: Readonly<Record<string, string>>;
}

/** Real sshd on loopback, where one key may run `git-upload-pack` and nothing else. */
export interface SshServer {
  readonly port: number;
  /** Name of the account. */
  readonly user: string;
  /** `ssh://user@127.0.0.1:port`, without trailing slash. */
  readonly url: string;
  /** Private key that is let in. */
  readonly keyFile: string;
  /** Private key that is not. */
  readonly strangerKeyFile: string;
  /** File that knows the server's host key. */
  readonly knownHostsFile: string;
  /** `SHA256:…` of the host key. */
  fingerprint(): string;
  /** Commands that clients sent, in order. */
  commands(): Promise<string[]>;
  /** From the next connection on the server has another host key, which `knownHostsFile` does not know. */
  changeHostKey(): Promise<void>;
  /** Connections so far. */
  readonly connections: number;
  close(): Promise<void>;
}

export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-sshd-"));
  const file = (name: string): string => join(folder, name);
  for (const name of ["host", "other-host", "user", "stranger"]) makeKey(file(name));
  const sockets = new Map<Socket, ChildProcess>();
  let hostKey = file("host");
  let connections = 0;

  await writeFile(file("commands"), "");
  await writeFile(file("serve"), serveScript(options, file("commands")), { mode: 0o755 });
  await chmod(file("serve"), 0o755);
  await writeFile(
    file("authorized_keys"),
    `restrict,command="${file("serve")}" ${await readFile(file("user.pub"), "utf8")}`,
  );
  // sshd refuses to start as root without it.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });

  const server = createServer((socket) => {
    connections += 1;
    const child = spawn(sshd, ["-i", "-e", "-f", file("sshd_config"), "-h", hostKey], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    sockets.set(socket, child);
    socket
      .on("error", () => undefined)
      .on("close", () => {
        sockets.delete(socket);
        child.kill("SIGTERM");
      });
    child.on("error", () => socket.destroy());
    socket.pipe(child.stdin.on("error", () => undefined));
    child.stdout.pipe(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const port = portOf(server);
  await writeFile(
    file("sshd_config"),
    [
      "UsePAM no",
      "StrictModes no",
      "PermitRootLogin prohibit-password",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PidFile none",
      "AcceptEnv GIT_PROTOCOL",
      `AuthorizedKeysFile ${file("authorized_keys")}`,
      "",
    ].join("\n"),
  );
  const [type, key] = (await readFile(file("host.pub"), "utf8")).split(" ");
  await writeFile(file("known_hosts"), `[127.0.0.1]:${port} ${type} ${key?.trim()}\n`);
  const user = userInfo().username;
  let closed: Promise<void> | undefined;

  return {
    port,
    user,
    url: `ssh://${user}@127.0.0.1:${port}`,
    keyFile: file("user"),
    strangerKeyFile: file("stranger"),
    knownHostsFile: file("known_hosts"),
    fingerprint: () => keygen(["-l", "-f", `${hostKey}.pub`]).split(" ")[1] ?? "",
    commands: async () => (await readFile(file("commands"), "utf8")).split("\n").filter((line) => line !== ""),
    changeHostKey: () => {
      hostKey = file("other-host");
      return Promise.resolve();
    },
    get connections() {
      return connections;
    },
    close: () =>
      (closed ??= new Promise((resolve) => {
        server.close(() => void rm(folder, { recursive: true, force: true }).then(resolve));
        for (const [socket, child] of sockets) {
          child.kill("SIGTERM");
          socket.destroy();
        }
      })),
  };
}

/** Runs instead of what the client sent, which it finds in a variable: `git-upload-pack '/team/a.git'`. */
function serveScript({ root, absent, refused = {} }: SshServerOptions, log: string): string {
  const refusals = Object.entries(refused).map(([path, words]) => `'${path}') ${refusal(words)} ;;`);
  const absence = absent === undefined ? "" : `test -d '${root}/'"$path" || { ${refusal(absent)}; }`;
  return `#!/bin/sh
printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >>'${log}'
case "$SSH_ORIGINAL_COMMAND" in
*..*) echo "refused" >&2; exit 1 ;;
"git-upload-pack '"*"'") ;;
*) echo "only git-upload-pack is allowed" >&2; exit 1 ;;
esac
path=\${SSH_ORIGINAL_COMMAND#"git-upload-pack '"}
path=\${path%"'"}
path=\${path#/}
case "$path" in
${refusals.join("\n")}
esac
${absence}
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
exec git upload-pack -- '${root}/'"$path"
`;
}

function refusal(words: string): string {
  const format = `${words}\n`.replaceAll("'", "'\\''");
  return `printf '${format}' "$path" >&2; exit 1`;
}

function makeKey(file: string): void {
  keygen(["-q", "-t", "ed25519", "-N", "", "-C", "fixture", "-f", file]);
}

function keygen(args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("ssh-keygen", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ssh-keygen failed: ${stderr}`);
  return stdout;
}
