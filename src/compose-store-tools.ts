import { randomBytes } from "node:crypto";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import { SluiceError } from "./core/errors.ts";
import type { Events, SumVerifier, ZipVerifier } from "./core/ports.ts";
import { createEgress } from "./net/egress.ts";
import { createSdkHandler } from "./net/sdk-handler.ts";
import { loadTrust } from "./net/trust.ts";
import { createLog } from "./ops/log.ts";
import { createMetrics } from "./ops/metrics.ts";
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
} from "./storage/copy/target.ts";
import { createZipVerifier } from "./storage/zip-verifier.ts";
import { composeNetwork } from "./compose-network.ts";
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
  { from, to }: { readonly from: Location; readonly to: Location },
  events: Events,
  work: (sides: CopySides) => Promise<T>,
): Promise<T> {
  const verifier = createZipVerifier();
  const closing: (() => Promise<void>)[] = [() => verifier.close()];
  try {
    const place = from.kind === "folder" ? await openFolderPlace(from.folder) : await openBucketPlace(toOptions(from));
    closing.unshift(() => place.close());
    const target = await openTarget(to, { verifier, events, clock: systemClock });
    closing.unshift(() => target.close());
    return await work({ from: place, to: target, verifier });
  } finally {
    for (const close of closing) await close();
  }
}

async function openTarget(to: Location, parts: Parameters<typeof openBucketTarget>[1]): Promise<Target> {
  if (to.kind === "bucket") return openBucketTarget(toOptions(to), parts);
  return (await isDownloadFolder(to.folder))
    ? openDownloadFolderTarget(to.folder, parts)
    : openDataFolderTarget(to.folder, parts);
}

/** Forward proxies and authorities are those of the environment, credentials those that the SDK finds. */
function toOptions(location: Extract<Location, { readonly kind: "bucket" }>): S3BucketOptions {
  const { bucket, prefix, endpoint, region, pathStyle } = location;
  const { certificates } = loadTrust({ env: process.env });
  const requestHandler = createSdkHandler({ ca: certificates, egress: createEgress(process.env) });
  return { bucket, prefix, endpoint, region, pathStyle, requestHandler, clock: systemClock };
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

function nothingToAsk(): SluiceError {
  return new SluiceError(
    "config_invalid",
    "--verify-sums has no checksum database to ask, as the configuration turns it off (sumdb.database or sumdb.verify); set one, or leave the flag out",
  );
}
