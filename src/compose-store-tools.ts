import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import { SluiceError } from "./core/errors.ts";
import type { Events } from "./core/events.ts";
import type { Clock, SumVerifier, ZipVerifier } from "./core/ports.ts";
import { createEgress } from "./net/egress.ts";
import { createSdkHandler } from "./net/sdk-handler.ts";
import { loadTrust, withExtraCa } from "./net/trust.ts";
import type { FileRequest } from "./protocol/goproxy/index.ts";
import { createLog } from "./ops/log.ts";
import { createMetrics } from "./ops/metrics.ts";
import { createS3BlobStore } from "./storage/blob/s3.ts";
import type { S3BucketOptions } from "./storage/blob/s3-bucket.ts";
import { openBucketPlace } from "./storage/copy/bucket-place.ts";
import { openFolderPlace } from "./storage/copy/folder-place.ts";
import type { Place } from "./storage/copy/place.ts";
import {
  isDownloadFolder,
  openBucketTarget,
  openDataFolderTarget,
  openDownloadFolderTarget,
  type Target,
  type TargetParts,
} from "./storage/copy/target.ts";
import { type LocalStore, openLocalStore } from "./storage/local-store.ts";
import { bucketBehind } from "./storage/scrub/bucket-scrub.ts";
import { createHeal } from "./storage/scrub/heal.ts";
import { createZipVerifier } from "./storage/zip-verifier.ts";
import { deciderOf } from "./compose-store.ts";
import { composeNetwork } from "./compose-network.ts";
import { openNode } from "./compose-node.ts";
import { composeService } from "./compose-service.ts";
import { composeSumdb } from "./compose-sumdb.ts";
import manifest from "../package.json" with { type: "json" };

/** Where modules are, as a command line says it. */
export type Location =
  | { readonly kind: "folder"; readonly folder: string }
  | ({ readonly kind: "bucket" } & Pick<S3BucketOptions, "bucket" | "prefix" | "endpoint" | "region" | "pathStyle">);

export interface CopySides {
  readonly from: Place;
  readonly to: Target;
  readonly verifier: ZipVerifier;
}

/** Opens both sides of a copy, and closes them when `work` is done. */
export async function withCopySides<T>(
  { from, to, config }: { readonly from: Location; readonly to: Location; readonly config: Config },
  events: Events,
  work: (sides: CopySides) => Promise<T>,
): Promise<T> {
  const verifier = createZipVerifier();
  const closing: (() => Promise<void>)[] = [() => verifier.close()];
  try {
    const place =
      from.kind === "folder" ? await openFolderPlace(from.folder) : await openBucketPlace(toOptions(from, config));
    closing.unshift(() => place.close());
    const target = await openTarget(to, config, { verifier, events, clock: systemClock });
    closing.unshift(() => target.close());
    return await work({ from: place, to: target, verifier });
  } finally {
    for (const close of closing) await close();
  }
}

async function openTarget(to: Location, config: Config, parts: TargetParts): Promise<Target> {
  if (to.kind === "bucket") return openBucketTarget(toOptions(to, config), parts);
  return (await isDownloadFolder(to.folder))
    ? openDownloadFolderTarget(to.folder, parts)
    : openDataFolderTarget(to.folder, parts);
}

/**
 * A bucket of the configuration is reached as the configuration says. Otherwise credentials are those that the SDK finds; forward proxies
 * and authorities are those of the environment anyway.
 */
function toOptions(
  location: Extract<Location, { readonly kind: "bucket" }>,
  { sharedBucket }: Config,
): S3BucketOptions {
  const { bucket, prefix, endpoint, region } = location;
  const isKnown = sharedBucket?.bucket === bucket && (endpoint ?? sharedBucket.endpoint) === sharedBucket.endpoint;
  const known = isKnown ? sharedBucket : undefined;
  const trust = loadTrust({ env: process.env });
  const { certificates } = known?.ca === undefined ? trust : withExtraCa(trust, known.ca, known.caFile ?? "ca_file");
  return {
    bucket,
    prefix,
    endpoint: endpoint ?? known?.endpoint,
    region: region ?? known?.region,
    pathStyle: known?.pathStyle ?? location.pathStyle,
    ...(known?.credentials !== undefined && {
      credentials: {
        accessKeyId: known.credentials.accessKeyId,
        secretAccessKey: known.credentials.secretKey.reveal(),
      },
    }),
    requestHandler: createSdkHandler({ ca: certificates, egress: createEgress(process.env) }),
    clock: systemClock,
  };
}

/** What compares files with the checksum databases of the configuration. Its trees are kept in the configuration's data folder. */
export async function withSums<T>(config: Config, work: (sums: SumVerifier) => Promise<T>): Promise<T> {
  const { version } = manifest;
  const log = createLog({ level: "warn", format: config.log.format, fd: 2 });
  const network = composeNetwork({ log, version, instanceId: randomBytes(6).toString("hex") });
  const metrics = createMetrics({
    version,
    fetching: () => 0,
    health: () => Promise.resolve([]),
    unverified: () => Promise.resolve(undefined),
  });
  const resolver = (): never => {
    throw new SluiceError("internal", "a log of our own is not asked for what is copied");
  };
  const sumdb = await composeSumdb(config, { events: { emit: () => undefined }, log, metrics, network, resolver });
  try {
    if (!sumdb.isVerifying) throw nothingToAsk();
    return await work(sumdb.verifier);
  } finally {
    await sumdb.close();
    log.close();
  }
}

export interface UpkeepTools {
  readonly store: LocalStore;
  readonly verifier: ZipVerifier;
  readonly clock: Clock;
}

/** Opens the data folder of the configuration, beside a Sluice that may run there. */
export async function withLocalStore<T>(
  { store: { dataDir } }: Config,
  events: Events,
  work: (tools: UpkeepTools) => Promise<T>,
): Promise<T> {
  if (!existsSync(join(dataDir, "modules"))) throw noStore(dataDir);
  const verifier = createZipVerifier();
  try {
    const store = await openLocalStore(dataDir, { events, clock: systemClock });
    try {
      return await work({ store, verifier, clock: systemClock });
    } finally {
      await store.close();
    }
  } finally {
    await verifier.close();
  }
}

/** What brings files of the data folder again, from the sources of the configuration and compared with its checksum databases. */
export async function withHeal<T>(
  config: Config,
  store: LocalStore,
  work: (heal: (request: FileRequest) => Promise<void>) => Promise<T>,
): Promise<T> {
  const quiet: Config = {
    ...config,
    log: { ...config.log, level: "silent" },
    store: { ...config.store, scrubIntervalMs: 0, maxSizeBytes: 0 },
  };
  const node = await openNode(quiet, {
    fetching: () => 0,
    health: () => [],
    engine: undefined,
    reload: async () => ({ outcome: "refused", reason: "this Sluice does not serve" }),
  });
  try {
    const service = await composeService(quiet, node);
    try {
      service.start();
      const context = { signal: new AbortController().signal, client: "scrub" };
      const heal = createHeal({
        store,
        peek: (key) => node.store.peek(key),
        fetch: (request) => service.ensureStored(request, context),
      });
      return await work((request) => heal(request, context.signal));
    } finally {
      await service.close();
    }
  } finally {
    await node.close();
  }
}

/** The bucket of the configuration, as a scrub sees it. Fails with `config_invalid` when there is none. */
export async function withBucket<T>(
  config: Config,
  { local, events }: { readonly local: LocalStore; readonly events: Events },
  work: (bucket: LocalStore) => Promise<T>,
): Promise<T> {
  if (config.sharedBucket === undefined) throw noBucket();
  const { sharedBucket, sharedDatabase, store } = config;
  const shared =
    sharedDatabase &&
    (await import("./compose-ledger.ts")).composeDatabase(sharedDatabase, { dataDir: store.dataDir, events });
  await shared?.opened;
  const blobs = createS3BlobStore({
    ...toOptions({ kind: "bucket", ...sharedBucket }, config),
    ...deciderOf(config, shared?.database),
  });
  try {
    await blobs.check();
    return await work(bucketBehind(local, blobs, events));
  } finally {
    await blobs.close();
    await shared?.database.close();
  }
}

function noBucket(): SluiceError {
  return new SluiceError(
    "config_invalid",
    "--in-bucket needs the bucket of the configuration, and there is none; name it with --bucket or in [bucket]",
  );
}

function noStore(dataDir: string): SluiceError {
  return new SluiceError(
    "config_invalid",
    `there is no store in ${JSON.stringify(dataDir)}; name the data folder with --data-dir or SLUICE_DATA_DIR`,
  );
}

function nothingToAsk(): SluiceError {
  return new SluiceError(
    "config_invalid",
    "--verify-sums has no checksum database to ask, as the configuration turns it off (sumdb.database or sumdb.verify); set one, or leave the flag out",
  );
}
