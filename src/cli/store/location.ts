import { resolve } from "node:path";
import type { Location } from "../../compose-store-tools.ts";
import { SluiceError } from "../../core/errors.ts";
import { redactText } from "../../net/redact.ts";

/** What flags say of buckets; what stands in a location counts before it. */
export interface BucketFlags {
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly pathStyle?: string | undefined;
}

const parameters = ["endpoint", "region", "path_style"];

/** Reads a folder, or `s3://bucket/prefix?endpoint=…&region=…&path_style=…`. Fails with `config_invalid`. */
export function parseLocation(text: string, flags: BucketFlags): Location {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return { kind: "folder", folder: resolve(text) };
  const url = parseUrl(text);
  if (url?.protocol === "file:") return { kind: "folder", folder: resolve(decodeURIComponent(url.pathname)) };
  if (url?.protocol !== "s3:" || url.hostname === "") {
    throw unusable(text, "is neither a folder nor a bucket; write a path, or s3://bucket/prefix");
  }
  if (url.username !== "" || url.password !== "") {
    throw unusable(text, "has credentials in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE");
  }
  for (const name of url.searchParams.keys()) {
    if (!parameters.includes(name))
      throw unusable(text, `has ${JSON.stringify(name)}; it may have ${parameters.join(", ")}`);
  }
  return {
    kind: "bucket",
    bucket: url.host,
    prefix: prefixOf(url, text),
    ...settingsOf(url.searchParams, flags, text),
  };
}

function settingsOf(params: URLSearchParams, flags: BucketFlags, text: string) {
  const endpoint = params.get("endpoint") ?? flags.endpoint;
  const region = params.get("region") ?? flags.region;
  const style = params.get("path_style") ?? flags.pathStyle;
  if (endpoint !== undefined && !/^https?:$/.test(parseUrl(endpoint)?.protocol ?? "")) {
    throw unusable(
      text,
      `has the endpoint ${JSON.stringify(redactText(endpoint))}; write a URL, such as https://minio.example.com:9000`,
    );
  }
  if (style !== undefined && style !== "true" && style !== "false") {
    throw unusable(text, `has the path style ${JSON.stringify(style)}; write true or false`);
  }
  const isElsewhere = endpoint !== undefined;
  return {
    endpoint,
    // Stores that are not AWS's take any, but requests are not signed without.
    region: region ?? (isElsewhere && process.env["AWS_REGION"] === undefined ? "us-east-1" : undefined),
    pathStyle: style === undefined ? isElsewhere : style === "true",
  };
}

function prefixOf(url: URL, text: string): string {
  const elements = decodeURIComponent(url.pathname)
    .split("/")
    .filter((element) => element !== "");
  if (elements.some((element) => element === "." || element === ".."))
    throw unusable(text, "has a prefix with dots alone in it");
  return elements.join("/");
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function unusable(text: string, problem: string): SluiceError {
  return new SluiceError("config_invalid", `${JSON.stringify(redactText(text))} ${problem}`);
}
