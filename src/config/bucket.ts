import { Secret } from "../core/secret.ts";
import type { Report } from "./checks.ts";
import { readVariable } from "./environment.ts";
import { readNamedFile, type Surroundings } from "./overrides.ts";
import type { Settings } from "./schema.ts";

type BucketSettings = Settings["bucket"];

/** The bucket that stands behind the disk, its files read. */
export interface BucketConfig {
  readonly bucket: string;
  /** Whole path elements without a slash at either end, or `""`. */
  readonly prefix: string;
  readonly endpoint: string | undefined;
  /** Undefined is what the AWS tools find. */
  readonly region: string | undefined;
  readonly pathStyle: boolean;
  /** The content of `ca_file`. */
  readonly ca: string | undefined;
  readonly caFile: string | undefined;
  /** Undefined is what the AWS tools find. */
  readonly credentials: { readonly accessKeyId: string; readonly secretKey: Secret } | undefined;
  /** Of zips that clients are redirected to; undefined is never. */
  readonly redirectFromBytes: number | undefined;
  /** No other node writes there, so that a store without conditional writes will do. */
  readonly onlyWriter: boolean;
}

/** Which store it is when an endpoint names no region; stores that are not AWS's take it without asking. */
const regionOfEndpoints = "us-east-1";

/** Checks what the schema cannot tell of `[bucket]`, and reads what it names. Undefined without a bucket. */
export function readBucket(settings: BucketSettings, around: Surroundings, report: Report): BucketConfig | undefined {
  const { url, endpoint, region, pathStyle, caFile } = settings;
  if (url === undefined) {
    refuseWithoutUrl(settings, report);
    return undefined;
  }
  const place = parseBucketUrl(url);
  if (place === undefined) {
    report("bucket.url", "is not a bucket; write s3://, its name, and maybe a prefix, such as s3://modules/sluice", {
      value: url,
    });
  }
  if (endpoint !== undefined && !isEndpoint(endpoint)) {
    report(
      "bucket.endpoint",
      "is not the URL of a store; write https:// or http:// and its host, such as https://minio.example.com:9000, without the bucket",
      // It may hold a password.
      endpoint.includes("@") ? {} : { value: endpoint },
    );
  }
  const ca = readNamedFile(caFile, around, (problem) => report("bucket.ca_file", problem, { value: caFile }));
  if (ca !== undefined && !ca.includes("-----BEGIN CERTIFICATE-----")) {
    report("bucket.ca_file", "holds no certificate in PEM form", { value: caFile });
  }
  return {
    ...(place ?? { bucket: "", prefix: "" }),
    endpoint,
    region: region ?? (endpoint === undefined ? undefined : (regionOf(around) ?? regionOfEndpoints)),
    pathStyle: pathStyle ?? endpoint !== undefined,
    ca,
    caFile,
    credentials: readCredentials(settings, around, report),
    redirectFromBytes: settings.redirectFromBytes,
    onlyWriter: settings.onlyWriter ?? false,
  };
}

/** Settings for a bucket that nobody named would be silently for nothing. */
function refuseWithoutUrl(settings: BucketSettings, report: Report): void {
  const set = Object.values(settings).some((value) => value !== undefined);
  if (set) report("bucket.url", "is missing; write the bucket that the other settings are about, such as s3://modules");
}

function parseBucketUrl(url: string): { bucket: string; prefix: string } | undefined {
  const { bucket, prefix = "" } =
    /^s3:\/\/(?<bucket>[a-z0-9][a-z0-9.-]+[a-z0-9])(?:\/(?<prefix>.*))?$/i.exec(url)?.groups ?? {};
  const elements = prefix.replace(/\/$/, "");
  if (bucket === undefined || /[?#\\\s]/.test(elements)) return undefined;
  if (elements !== "" && elements.split("/").some((element) => ["", ".", ".."].includes(element))) return undefined;
  return { bucket, prefix: elements };
}

function isEndpoint(endpoint: string): boolean {
  return /^https?:\/\/[^/@?#\s]+\/?$/.test(endpoint) && URL.canParse(endpoint);
}

function regionOf({ env }: Surroundings): string | undefined {
  return readVariable(env, "AWS_REGION") ?? readVariable(env, "AWS_DEFAULT_REGION");
}

function readCredentials(
  { accessKeyId, secretKeyFile, secretKeyEnv }: BucketSettings,
  around: Surroundings,
  report: Report,
): BucketConfig["credentials"] {
  const secretKey = readSecret({ secretKeyFile, secretKeyEnv }, around, report);
  if (accessKeyId === undefined) {
    if (secretKeyFile !== undefined || secretKeyEnv !== undefined) {
      report("bucket.access_key_id", "is missing; write the name of the key that the secret belongs to");
    }
    return undefined;
  }
  if (secretKeyFile === undefined && secretKeyEnv === undefined) {
    report("bucket.access_key_id", "stands alone; name its secret by secret_key_file or secret_key_env");
  }
  return secretKey && { accessKeyId, secretKey };
}

function readSecret(
  { secretKeyFile, secretKeyEnv }: Pick<BucketSettings, "secretKeyFile" | "secretKeyEnv">,
  around: Surroundings,
  report: Report,
): Secret | undefined {
  if (secretKeyFile !== undefined && secretKeyEnv !== undefined) {
    report("bucket.secret_key_env", "stands beside secret_key_file; keep one of them");
    return undefined;
  }
  if (secretKeyEnv !== undefined) {
    const secret = readVariable(around.env, secretKeyEnv);
    if (secret !== undefined) return new Secret(secret);
    report("bucket.secret_key_env", "names an environment variable that is not set");
    return undefined;
  }
  const text = readNamedFile(secretKeyFile, around, (problem) =>
    report("bucket.secret_key_file", problem, { value: secretKeyFile }),
  );
  const secret = text?.replace(/[\r\n]+$/, "");
  if (secret === "") report("bucket.secret_key_file", "is empty", { value: secretKeyFile });
  return secret === undefined ? undefined : new Secret(secret);
}
