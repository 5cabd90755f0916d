import { createServer, type Socket } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runCli, startCli } from "../support/cli.ts";

const repository = fileURLToPath(new URL("../../", import.meta.url));
let cwd: string;

beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), "sluice-cli-"));
});
afterEach(() => rm(cwd, { recursive: true, force: true }));

describe("serve", () => {
  it("says address, store, chain and the line to paste, and hides secrets", async () => {
    const env = { SLUICE_LISTEN: "127.0.0.1:0", GOPROXY: "https://me:hunter2@proxy.example.com/go|off" };
    const sluice = startCli(["serve", "--data-dir", "store"], { cwd, env });
    const [, url = ""] = await sluice.saw(/export GOPROXY=(http:\/\/127\.0\.0\.1:\d+)\n/);
    await expect(fetch(`${url}/healthz`)).resolves.toMatchObject({ status: 200 });
    sluice.kill("SIGTERM");
    const { code, stdout, stderr } = await sluice.ended;
    expect({ code, stderr }).toStrictEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`  address  ${url}\n`);
    expect(stdout).toContain(`  store    ${join(cwd, "store")}\n`);
    expect(stdout).toContain("  chain    https://proxy.example.com/go|off  (env GOPROXY)\n");
    expect(stdout).not.toContain("hunter2");
  });

  it("shows the line for other machines when it listens on every address", async () => {
    const sluice = startCli(["serve", "--listen", ":0", "--base-path", "/go", "--chain", "off"], { cwd });
    await sluice.saw(
      /export GOPROXY=http:\/\/127\.0\.0\.1:\d+\/go\n[^]*On other machines:\n\n {2}export GOPROXY=http:\/\/[^:\s]+:\d+\/go\n/,
    );
    sluice.kill("SIGINT");
    await expect(sluice.ended).resolves.toMatchObject({ code: 0, stderr: "" });
  });

  it("keeps standard output for JSON when it was asked for", async () => {
    const sluice = startCli(["serve", "--listen", "127.0.0.1:0", "--chain", "off", "--log-format", "json"], { cwd });
    await sluice.saw(/export GOPROXY=/);
    sluice.kill("SIGTERM");
    const { code, stdout, stderr } = await sluice.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("export GOPROXY=http://127.0.0.1:");
    const lines = stdout.trimEnd().split("\n");
    expect(() => lines.map((line) => JSON.parse(line) as unknown)).not.toThrow();
  });

  describe("with a request under way that never ends", () => {
    it.each([
      ["another signal ends it at once", ["SIGTERM", "SIGINT"], 130],
      ["the same signal twice is Ctrl-C under npm, and waits up to the limit", ["SIGINT", "SIGINT"], 0],
    ] as const)("%s", async (_name, signals, code) => {
      const upstream = await listen((socket) => socket.resume());
      const env = { SLUICE_SERVER_SHUTDOWN_TIMEOUT: "300ms" };
      const sluice = startCli(["serve", "--listen", "127.0.0.1:0", "--chain", upstream.url], { cwd, env });
      const [, url = ""] = await sluice.saw(/export GOPROXY=(\S+)\n/);
      const hanging = fetch(`${url}/example.com/m/@v/list`).then(
        () => "answered",
        () => "cut",
      );
      await upstream.connected;
      for (const signal of signals) sluice.kill(signal);
      await expect(sluice.ended).resolves.toMatchObject({ code });
      await expect(hanging).resolves.toBe("cut");
      upstream.close();
    });
  });

  it("is what npm start runs, and ends with it", async () => {
    const env = {
      SLUICE_LISTEN: "127.0.0.1:0",
      SLUICE_DATA_DIR: join(cwd, "store"),
      GOPROXY: "off",
      npm_config_logs_max: "0",
    };
    const npm = startCli(["start"], { cwd: repository, env, command: "npm" });
    const [, url = ""] = await npm.saw(/export GOPROXY=(\S+)\n/);
    npm.kill("SIGTERM");
    const { stdout } = await npm.ended;
    expect(stdout).toContain('"msg":"stopped"');
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });

  it("ends with one sentence and exit code 2 when the port is in use", async () => {
    const other = await listen(() => undefined);
    await expect(
      runCli(["serve", "--listen", `127.0.0.1:${other.port}`, "--chain", "off"], { cwd }),
    ).resolves.toMatchObject({
      code: 2,
      stderr: `sluice: cannot listen on 127.0.0.1:${other.port}, which another program uses; stop that one, or choose another port with --listen or SLUICE_LISTEN\n`,
    });
    other.close();
  });

  it.each([
    [
      "192.0.2.1:3000",
      "cannot listen on 192.0.2.1:3000, which is no address of this machine; choose one with --listen or SLUICE_LISTEN, such as :3000 for all of them",
    ],
    [
      "no-such-host.invalid:3000",
      "cannot listen on no-such-host.invalid, which is no name of this machine; write an IP address, such as --listen 127.0.0.1:3000",
    ],
  ])("says why it cannot listen on %s", async (address, sentence) => {
    const result = await runCli(["serve", "--listen", address, "--chain", "off"], { cwd });
    expect(result).toMatchObject({ code: 2, stderr: `sluice: ${sentence}\n` });
  });

  it("says which folder cannot be written", async () => {
    await writeFile(join(cwd, "file"), "");
    const { code, stderr } = await runCli(
      ["serve", "--listen", "127.0.0.1:0", "--data-dir", "file/store", "--chain", "off"],
      { cwd },
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^sluice: cannot .*file\/store.*; or choose another folder with --data-dir or SLUICE_DATA_DIR\n$/,
    );
  });
});

interface Listener {
  readonly port: number;
  readonly url: string;
  readonly connected: Promise<void>;
  close(): void;
}

async function listen(onConnection: (socket: Socket) => void): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer();
  const connected = new Promise<void>((resolve) => {
    server.on("connection", (socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      onConnection(socket);
      resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    connected,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
