import { randomUUID } from "node:crypto";
import { type PostgresServer, startPostgresServer } from "./postgres-server.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";
import { s3Programs } from "./s3-programs.ts";
import { type S3Server, startS3Server } from "./s3-server.ts";

export const minio = s3Programs[0];

/** What the nodes of a fleet have in common, all of it real: MinIO, PostgreSQL, Redis. */
export interface SharedParts extends AsyncDisposable {
  readonly bucket: S3Server;
  readonly database: PostgresServer;
  readonly redis: RedisServer;
  /** What tells a Sluice about them, by these ports instead of their own where links are in between. */
  env(ports?: PartPorts): Readonly<Record<string, string>>;
}

export type PartPorts = { readonly [part in "bucket" | "database" | "redis"]?: number | undefined };

export async function startSharedParts(): Promise<SharedParts> {
  if (minio?.name !== "minio") throw new Error("MinIO is not the first of the S3 programs");
  await using started = new AsyncDisposableStack();
  const redis = await startRedis();
  started.defer(() => redis.remove());
  const database = await startPostgresServer();
  started.defer(() => database.stop());
  const bucket = await startS3Server(minio);
  started.defer(() => bucket.stop());
  const databaseUrl = await database.createDatabase();
  const prefix = randomUUID();
  const all = started.move();
  return {
    bucket,
    database,
    redis,
    env: (ports = {}) => ({
      ...bucket.env,
      SLUICE_BUCKET_URL: `s3://${bucket.bucket}/${prefix}`,
      SLUICE_BUCKET_ENDPOINT: at(bucket.endpoint, ports.bucket),
      SLUICE_DATABASE_URL: at(databaseUrl, ports.database),
      SLUICE_REDIS_URL: at(redis.url, ports.redis),
    }),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

function at(url: string, port: number | undefined): string {
  return port === undefined ? url : url.replace(/127\.0\.0\.1:\d+/, `127.0.0.1:${port}`);
}
