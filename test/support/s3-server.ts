import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { BucketAlreadyOwnedByYou, CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { createSdkHandler, type SdkHandler } from "../../src/net/sdk-handler.ts";
import { systemClock } from "../../src/core/clock.ts";
import { closedPort } from "./loopback.ts";
import type { S3Program } from "./s3-programs.ts";
import { waitFor } from "./wait-for.ts";

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
  /** What tells a Sluice of its own process about it. */
  readonly env: Readonly<Record<string, string>>;
  /** By SIGKILL. */
  kill(): Promise<void>;
  /** By SIGSTOP: it takes connections, and answers none. */
  pause(): void;
  resume(): void;
  /** With the same data at the same address, unless it runs. */
  startAgain(): Promise<void>;
  /** Removes the data, too. */
  stop(): Promise<void>;
}

const credentials = { accessKeyId: "sluice-test", secretAccessKey: "sluice-test-secret" };
const region = "us-east-1";
const bucket = "modules";

export async function startS3Server(program: S3Program): Promise<S3Server> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-s3-"));
  const address = `127.0.0.1:${await closedPort()}`;
  const endpoint = `http://${address}`;
  await mkdir(path.join(folder, "data"));
  await mkdir(path.join(folder, "sidecar"));
  let child: ChildProcess | undefined;
  const options: S3Server["options"] = (wrap = (handler) => handler) => ({
    bucket,
    endpoint,
    region,
    pathStyle: true,
    credentials,
    requestHandler: wrap(createSdkHandler({ ca: [] })),
    clock: systemClock,
  });
  const env = {
    SLUICE_BUCKET_ENDPOINT: endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const pause = (): void => void child?.kill("SIGSTOP");
  const resume = (): void => void child?.kill("SIGCONT");
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  const startAgain = async (): Promise<void> => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) return;
    child = start(program, { folder, address });
    await ensureBucket(options(), child);
  };
  const stop = async (): Promise<void> => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await startAgain();
    return { bucket, endpoint, options, env, kill, pause, resume, startAgain, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function start(
  { name, file }: S3Program,
  { folder, address }: { readonly folder: string; readonly address: string },
): ChildProcess {
  const data = path.join(folder, "data");
  const { accessKeyId, secretAccessKey } = credentials;
  const env = { PATH: process.env["PATH"] ?? "", HOME: folder };
  if (name === "minio") {
    const own = { MINIO_ROOT_USER: accessKeyId, MINIO_ROOT_PASSWORD: secretAccessKey, MINIO_BROWSER: "off" };
    return spawn(file, ["server", "--quiet", "--address", address, data], { stdio: "ignore", env: { ...env, ...own } });
  }
  // Where a file system has no extended attributes, such as a tmpfs, facts of objects need a folder of their own.
  const sidecar = path.join(folder, "sidecar");
  const own = { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey };
  const args = ["--quiet", "--region", region, "--port", address, "posix", "--sidecar", sidecar, data];
  return spawn(file, args, { stdio: "ignore", env: { ...env, ...own } });
}

/** Once the server answers. */
async function ensureBucket(options: ReturnType<S3Server["options"]>, child: ChildProcess): Promise<void> {
  const client = new S3Client({ ...options, forcePathStyle: true, maxAttempts: 1 });
  try {
    await waitFor(
      async () => {
        if (child.exitCode !== null) throw new Error(`the S3 server ended with ${child.exitCode}`);
        try {
          await client.send(new CreateBucketCommand({ Bucket: bucket }));
        } catch (error) {
          if (!(error instanceof BucketAlreadyOwnedByYou)) throw error;
        }
      },
      { timeout: 50_000, interval: 100 },
    );
  } finally {
    client.destroy();
  }
}
