import { isSluiceError, SluiceError } from "./errors.ts";
import type { SumFile } from "./ports.ts";

/** What go calls it in its own messages: the go.mod of a version has a line of its own in go.sum. */
export function describeSum({ kind, modulePath, version }: Pick<SumFile, "kind" | "modulePath" | "version">): string {
  return `${modulePath}@${version}${kind === "mod" ? "/go.mod" : ""}`;
}

/** A database has another hash than what a source sent: `integrity`, in the words that go has for it. */
export function checksumMismatch(file: SumFile, database: string, expected: string): SluiceError {
  const lines = [
    `verifying ${describeSum(file)}: checksum mismatch`,
    `  downloaded: ${file.h1}`,
    `  ${database}: ${expected}`,
    `  ${blame(file.source)} Nothing of it was kept; find out which it is.`,
  ];
  return new SluiceError("integrity", lines.join("\n"), {
    // What has the right structure and the wrong content is not better the next time.
    details: { mismatch: true, permanent: true, database, expected, found: file.h1 },
  });
}

/** Whether an `integrity` error is about what a checksum database says or did: it names what was compared, and no source is to blame. */
export function isAboutDatabase(error: unknown): boolean {
  return isSluiceError(error, "integrity") && error.details["database"] !== undefined;
}

/** Also of an error that a source has made of it. */
export function isChecksumMismatch(error: unknown): boolean {
  return isSluiceError(error, "integrity") && error.details["mismatch"] === true;
}

function blame(source: string): string {
  return source === "direct"
    ? "direct sent it, the repository itself: its tag was moved, or its history was rewritten, after it was first seen."
    : `${source} sent it: its copy was changed, or the version was, after it was first seen.`;
}
