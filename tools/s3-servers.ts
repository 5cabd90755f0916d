import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { s3Programs } from "../test/support/s3-programs.ts";

// `npm run s3-servers` builds the S3 servers that the tests start, each once. It takes minutes and the Go module proxy.

for (const { name, source, file } of s3Programs) {
  if (!existsSync(file)) build({ name, source, file });
  process.stdout.write(`${file}\n`);
}

function build({
  name,
  source,
  file,
}: {
  readonly name: string;
  readonly source: string;
  readonly file: string;
}): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const folder = mkdtempSync(path.join(path.dirname(file), "build-"));
  try {
    process.stdout.write(`go install ${source}\n`);
    const env = { ...process.env, GOBIN: folder, CGO_ENABLED: "0" };
    const { status, error } = spawnSync("go", ["install", source], { stdio: "inherit", env });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`go install ${source} failed`);
    renameSync(path.join(folder, name), file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
