import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { portOf } from "../support/loopback.ts";
import { startSluiceProcess } from "../support/sluice.ts";

/** Takes connections and never says a word. Answers its port. */
async function startMute(on: { readonly asked: () => void; readonly left?: () => void }): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => on.left?.());
    // Else nobody would notice that the other end is gone.
    socket.resume();
    on.asked();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return portOf(server);
}

test("bucket, database and Redis that hang are waited for side by side, and Sluice starts", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-hanging-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const seen: string[] = [];
  const see = (what: string) => (): void => void seen.push(what);
  const database = await startMute({ asked: see("database asked"), left: see("database left") });
  const bucket = await startMute({ asked: see("bucket asked") });
  const redis = await startMute({ asked: see("redis asked") });
  const file = join(folder, "sluice.toml");
  await writeFile(
    file,
    `[bucket]
url = "s3://modules"
endpoint = "http://127.0.0.1:${bucket}"
region = "us-east-1"
[database]
url = "postgres://sluice@127.0.0.1:${database}/sluice?sslmode=disable"
[redis]
url = "redis://127.0.0.1:${redis}"
`,
  );
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };

  const sluice = await startSluiceProcess({ upstream: "off", args: ["--config", file], env });
  onTestFinished(async () => void (await sluice.stop()));

  expect(seen).toContain("database left");
  const beforeAnyWaitEnded = seen.slice(0, seen.indexOf("database left"));
  expect(new Set(beforeAnyWaitEnded)).toEqual(new Set(["bucket asked", "database asked", "redis asked"]));
  expect((await fetch(`${sluice.url}/healthz`)).status).toBe(200);
});
