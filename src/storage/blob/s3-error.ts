import { S3ServiceException } from "@aws-sdk/client-s3";
import { isSluiceError, SluiceError } from "../../core/errors.ts";

const advice: Readonly<Record<string, string>> = {
  AccessDenied: "access denied: let these credentials get, put, delete and list there",
  AuthorizationHeaderMalformed: "the bucket is in another region: set its region",
  CredentialsProviderError:
    "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role",
  ExpiredToken: "the credentials have expired: renew them",
  InvalidAccessKeyId: "the access key is unknown there: check the credentials",
  NoSuchBucket: "there is no such bucket: make it, or correct its name",
  PermanentRedirect: "the bucket is in another region: set its region",
  RegionMissing: "no region is set: write region, or set AWS_REGION",
  RequestTimeTooSkewed: "this machine's clock is wrong: set it",
  SignatureDoesNotMatch: "the secret key is not the right one: check the credentials",
  XMinioStorageFull: "no space is left there: free some",
};

/** What no time changes, but somebody who puts the configuration, the bucket or its permissions right. */
const refusals: ReadonlySet<unknown> = new Set([
  "AccessDenied",
  "AuthorizationHeaderMalformed",
  "CredentialsProviderError",
  "InvalidAccessKeyId",
  "NoSuchBucket",
  "PermanentRedirect",
  "RegionMissing",
  "SignatureDoesNotMatch",
]);

/** Answers that another attempt may change. */
const passing: ReadonlySet<string> = new Set([
  "ConditionalRequestConflict",
  "OperationAborted",
  "RequestTimeout",
  "RequestTimeTooSkewed", // The SDK learns the server's time from the refusal.
  "SlowDown",
  "Throttling",
]);

/** What a failing bucket means for whoever runs Sluice: which operation, on what, why, and what to do. */
export function s3Error(operation: string, url: string, cause: unknown): SluiceError {
  if (isSluiceError(cause, "storage_failed", "malformed_request")) return cause;
  const name = nameOf(cause);
  const status = statusOf(cause);
  const code = name ?? (status === undefined ? undefined : String(status));
  const reason = (name === undefined ? undefined : advice[name]) ?? adviceOf(status) ?? messageOf(cause);
  const suffix = code === undefined ? "" : ` (${code})`;
  return new SluiceError("storage_failed", `cannot ${operation} ${JSON.stringify(url)}: ${reason}${suffix}`, {
    cause,
    details: { operation, url, reason: code, status },
    retryAfterSeconds: 10,
  });
}

/** The bucket, or what leads to it, is plainly not as it must be. */
export function isRefusal(error: unknown): error is SluiceError {
  if (!isSluiceError(error, "storage_failed")) return false;
  const { permanent, reason, status } = error.details;
  return permanent === true || refusals.has(reason) || status === 403;
}

/** Of an answer that refuses. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

export function isMissingObject(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== "NoSuchBucket";
}

/** True when asking again can help: no answer, or one that blames the moment. */
export function isPassing(error: unknown): boolean {
  if (error instanceof SluiceError) {
    return error.code.startsWith("upstream_") && error.details["permanent"] !== true;
  }
  const status = statusOf(error);
  if (status === undefined) return nameOf(error) !== "CredentialsProviderError";
  return status === 429 || (status >= 500 && status !== 501) || passing.has(nameOf(error) ?? "");
}

function adviceOf(status: number | undefined): string | undefined {
  // The answer to a HEAD has no body that would tell more.
  return status === 403 ? advice["AccessDenied"] : undefined;
}

/** Such as `AccessDenied`; nothing for the SDK's word for an answer without one. */
function nameOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof SluiceError) return undefined;
  if (error.message === "Region is missing") return "RegionMissing";
  return /^(Error|TypeError|Unknown|UnknownError|\d+)$/.test(error.name) ? undefined : error.name;
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== "" ? error.message : String(error);
}
