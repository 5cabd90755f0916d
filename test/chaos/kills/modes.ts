import { randomUUID } from "node:crypto";
import { type FaultProxy, startFaultProxy } from "../../support/fault-proxy.ts";
import { type S3Server, startS3Server } from "../../support/s3-server.ts";
import { minio } from "../../support/shared-parts.ts";

/** `bucket`: a disk with an outbox in front of MinIO. `workers`: two fronts and an engine. */
export const killModes = ["disk", "bucket", "workers"] as const;
export type KillMode = (typeof killModes)[number];

/** What a node of a mode has besides its disk. */
export interface ModeParts {
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  readonly bucket: ModeBucket | undefined;
  remove(): Promise<void>;
}

export interface ModeBucket {
  readonly server: S3Server;
  readonly prefix: string;
  /** Between the node and the bucket. */
  readonly link: FaultProxy;
}

export async function startParts(mode: KillMode): Promise<ModeParts> {
  if (mode !== "bucket") {
    return {
      env: {},
      args: mode === "workers" ? ["--workers", "2"] : [],
      bucket: undefined,
      remove: () => Promise.resolve(),
    };
  }
  if (minio === undefined) throw new Error("MinIO is not among the S3 programs");
  const server = await startS3Server(minio);
  const link = await startFaultProxy(Number(new URL(server.endpoint).port));
  const prefix = randomUUID();
  return {
    env: {
      ...server.env,
      SLUICE_BUCKET_URL: `s3://${server.bucket}/${prefix}`,
      SLUICE_BUCKET_ENDPOINT: `http://127.0.0.1:${link.port}`,
    },
    args: [],
    bucket: { server, prefix, link },
    remove: async () => {
      await link.close();
      await server.stop();
    },
  };
}
