import path from "node:path";
import { lacks } from "./needs.ts";

/** An S3 server that the tests start. */
export interface S3Program {
  readonly name: "minio" | "versitygw";
  /** As `go install` takes it. */
  readonly source: string;
  /** Where `npm run s3-servers` puts it. */
  readonly file: string;
}

/** Kept between runs, and ignored by git. */
const folder = path.join(import.meta.dirname, "../../.tmp/s3-servers");

export const s3Programs: readonly S3Program[] = [
  program("minio", "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"),
  program("versitygw", "github.com/versity/versitygw/cmd/versitygw@v1.8.0"),
];

/** Guard of every test that uses `startS3Server`. */
export function lacksS3Server({ file }: S3Program): boolean {
  return lacks(file);
}

function program(name: S3Program["name"], source: string): S3Program {
  const version = source.slice(source.indexOf("@") + 1);
  return { name, source, file: path.join(folder, `${name}-${version}`) };
}
