import type { Config } from "./config/index.ts";
import type { BucketConfig } from "./config/bucket.ts";
import { systemClock } from "./core/clock.ts";
import type { Events } from "./core/events.ts";
import type { ZipVerifier } from "./core/ports.ts";
import { createDnsCache } from "./net/dns-cache.ts";
import { createEgress } from "./net/egress.ts";
import { withBucketFaults } from "./net/faulty-http.ts";
import { createSdkHandler } from "./net/sdk-handler.ts";
import { loadTrust, withExtraCa } from "./net/trust.ts";
import { checkBucket } from "./storage/bucket-tier.ts";
import { withDiskFaults } from "./storage/blob/faulty-disk.ts";
import { createS3BlobStore, type S3BlobStoreOptions } from "./storage/blob/s3.ts";
import { createOwnClaims } from "./storage/blob/write-claims.ts";
import { type DataFolderOptions, openDataFolder, type OpenedStore } from "./storage/data-folder.ts";
import type { PostgresDatabase } from "./storage/postgres/database.ts";
import { createSharedClaims } from "./storage/postgres/write-claims.ts";
import { openStoreId } from "./storage/store-id.ts";
import { composeNetwork, type Network } from "./compose-network.ts";

interface StoreParts extends Pick<DataFolderOptions, "shareLedger"> {
  /** Of Sluice, on outbound connections. */
  readonly names: Parameters<typeof composeNetwork>[0];
  readonly verifier: ZipVerifier;
  readonly events: Events;
  /** For the files asked for most. */
  readonly memoryBytes: number;
  readonly database: PostgresDatabase | undefined;
}

/** The store: memory in front of the disk, and the disk alone or in front of a bucket. Fails with `storage_failed`. */
export async function composeStore(config: Config, { names, database, ...parts }: StoreParts): Promise<OpenedStore> {
  const { dataDir, wholeFileLimitBytes, reserveBytes, diskCacheSizeBytes: maxDiskBytes } = config.store;
  const { faults } = names;
  return openDataFolder({
    ...parts,
    dataDir,
    wholeFileLimitBytes,
    reserveBytes,
    clock: systemClock,
    wrapDisk: faults && ((disk) => withDiskFaults(disk, faults)),
    ...(config.sharedBucket !== undefined && {
      bucket: {
        ...createBucket(config.sharedBucket, { ...composeNetwork(names), ...deciderOf(config, database) }),
        maxDiskBytes,
      },
    }),
  });
}

/** What decides who was first in a bucket that cannot tell. */
export function deciderOf(
  { sharedBucket, store: { dataDir } }: Config,
  database: PostgresDatabase | undefined,
): Pick<S3BlobStoreOptions, "claims" | "soleWriter"> {
  if (database !== undefined) return { claims: createSharedClaims(database) };
  if (sharedBucket?.onlyWriter !== true) return {};
  return { claims: createOwnClaims(systemClock), soleWriter: () => openStoreId(dataDir) };
}

/** Asks the bucket that the configuration names, if any. Answers its name; `storage_failed` says why it cannot be used. */
export async function checkConfiguredBucket({ sharedBucket, sharedDatabase }: Config): Promise<string | undefined> {
  if (sharedBucket === undefined) return undefined;
  const { env } = process;
  const { store } = createBucket(sharedBucket, {
    trust: loadTrust({ env }),
    egress: createEgress(env),
    dns: createDnsCache(),
    // It is asked whether there is one, and nothing is created.
    ...((sharedDatabase !== undefined || sharedBucket.onlyWriter) && { claims: createOwnClaims(systemClock) }),
  });
  try {
    await checkBucket(store);
    return store.name;
  } finally {
    await store.close();
  }
}

function createBucket(
  { ca, caFile, credentials, ...place }: BucketConfig,
  {
    trust,
    egress,
    dns,
    faults,
    claims,
    soleWriter,
  }: Pick<Network, "trust" | "egress" | "dns" | "faults"> & Pick<S3BlobStoreOptions, "claims" | "soleWriter">,
) {
  const trusted = ca === undefined ? trust : withExtraCa(trust, ca, caFile ?? "ca_file");
  const handler = createSdkHandler({ ca: trusted.certificates, egress, dns });
  const store = createS3BlobStore({
    ...place,
    ...(credentials !== undefined && {
      credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretKey.reveal() },
    }),
    requestHandler: faults === undefined ? handler : withBucketFaults(handler, faults, systemClock),
    clock: systemClock,
    claims,
    soleWriter,
  });
  return { store, id: `${place.endpoint ?? "aws"} ${place.bucket}/${place.prefix}` };
}
