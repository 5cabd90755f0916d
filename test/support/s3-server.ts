import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { vi } from "vitest";
import { createSdkHandler, type SdkHandler } from "../../src/net/sdk-handler.ts";
import { systemClock } from "../../src/core/clock.ts";
import { closedPort } from "./loopback.ts";
import type { S3Program } from "./s3-programs.ts";

/** A real S3 server on loopback with one empty bucket. */
export interface S3Server {
  readonly bucket: string;
  readonly endpoint: string;
  /** What reaches it: all that `S3Bucket` wants but the prefix. `wrap` stands between the SDK and the wire. */
  options(wrap?: (handler: SdkHandler) => SdkHandler): {
    readonly bucket: string;
    readonly endpoint: string;
    readonly region: string;
    readonly pathStyle: true;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
    readonly requestHandler: SdkHandler;
    readonly clock: typeof systemClock;
  };
  stop(): Promise<void>;
}

const credentials = { accessKeyId: "sluice-test", secretAccessKey: "sluice-test-secret" };
const region = "us-east-1";
const bucket = "modules";

export async function startS3Server(program: S3Program): Promise<S3Server> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-s3-"));
  const address = `127.0.0.1:${await closedPort()}`;
  const endpoint = `http://${address}`;
  const child = await start(program, { folder, address });
  const options: S3Server["options"] = (wrap = (handler) => handler) => ({
    bucket,
    endpoint,
    region,
    pathStyle: true,
    credentials,
    requestHandler: wrap(createSdkHandler({ ca: [] })),
    clock: systemClock,
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await makeBucket(options(), child);
    return { bucket, endpoint, options, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  { name, file }: S3Program,
  { folder, address }: { readonly folder: string; readonly address: string },
): Promise<ChildProcess> {
  const data = path.join(folder, "data");
  await mkdir(data);
  const { accessKeyId, secretAccessKey } = credentials;
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder };
  if (name === "minio") {
    const own = { MINIO_ROOT_USER: accessKeyId, MINIO_ROOT_PASSWORD: secretAccessKey, MINIO_BROWSER: "off" };
    return spawn(file, ["server", "--quiet", "--address", address, data], { stdio: "ignore", env: { ...env, ...own } });
  }
  // Where a file system has no extended attributes, such as a tmpfs, facts of objects need a folder of their own.
  const sidecar = path.join(folder, "sidecar");
  await mkdir(sidecar);
  const own = { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey };
  const args = ["--quiet", "--region", region, "--port", address, "posix", "--sidecar", sidecar, data];
  return spawn(file, args, { stdio: "ignore", env: { ...env, ...own } });
}

/** Until the server answers. */
async function makeBucket(options: ReturnType<S3Server["options"]>, child: ChildProcess): Promise<void> {
  const client = new S3Client({ ...options, forcePathStyle: true, maxAttempts: 1 });
  try {
    await vi.waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(`the S3 server ended with ${child.exitCode}`);
        await client.send(new CreateBucketCommand({ Bucket: bucket }));
      },
      { timeout: 50_000, interval: 100 },
    );
  } finally {
    client.destroy();
  }
}
