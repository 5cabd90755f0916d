import type { Config } from "./config/index.ts";
import type { BucketConfig } from "./config/bucket.ts";
import { systemClock } from "./core/clock.ts";
import type { Events, ZipVerifier } from "./core/ports.ts";
import { createSdkHandler } from "./net/sdk-handler.ts";
import { withExtraCa } from "./net/trust.ts";
import { createS3BlobStore } from "./storage/blob/s3.ts";
import { openDataFolder, type OpenedStore } from "./storage/data-folder.ts";
import { composeNetwork } from "./compose-network.ts";

interface StoreParts {
  /** Of Sluice, on outbound connections. */
  readonly names: Parameters<typeof composeNetwork>[0];
  readonly verifier: ZipVerifier;
  readonly events: Events;
  /** For the files asked for most. */
  readonly memoryBytes: number;
}

/** The store: memory in front of the disk, and the disk alone or in front of a bucket. Fails with `storage_failed`. */
export async function composeStore(config: Config, { names, ...parts }: StoreParts): Promise<OpenedStore> {
  const { dataDir, wholeFileLimitBytes } = config.store;
  return openDataFolder({
    ...parts,
    dataDir,
    wholeFileLimitBytes,
    clock: systemClock,
    ...(config.sharedBucket !== undefined && { bucket: createBucket(config.sharedBucket, names) }),
  });
}

function createBucket({ ca, caFile, credentials, ...place }: BucketConfig, names: StoreParts["names"]) {
  const { trust, egress, dns } = composeNetwork(names);
  const trusted = ca === undefined ? trust : withExtraCa(trust, ca, caFile ?? "ca_file");
  const store = createS3BlobStore({
    ...place,
    ...(credentials !== undefined && {
      credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey: credentials.secretKey.reveal() },
    }),
    requestHandler: createSdkHandler({ ca: trusted.certificates, egress, dns }),
    clock: systemClock,
  });
  return { store, id: `${place.endpoint ?? "aws"} ${place.bucket}/${place.prefix}` };
}
