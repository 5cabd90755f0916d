import { StartFailure } from "../cluster/child.ts";
import { type ErrorCode, SluiceError } from "../core/errors.ts";

export interface Failure {
  readonly message: string;
  readonly exitCode: 1 | 2;
}

/** What to say about an error that ends the program. What the operator can put right is one sentence with a suggestion. */
export function explainFailure(error: unknown): Failure {
  if (error instanceof StartFailure) {
    const { message, exitCode } = error;
    return { message, exitCode: exitCode === 2 ? 2 : 1 };
  }
  for (const link of chainOf(error)) {
    const message = explainKnown(link);
    if (message !== undefined) return { message, exitCode: 2 };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message: `unexpected error, which is a bug in Sluice: ${text}`, exitCode: 1 };
}

/** Of these the message says what to do. */
const explained: ReadonlySet<ErrorCode> = new Set([
  "bad_request",
  "unauthorized",
  "config_invalid",
  "integrity",
  "not_found",
  "upstream_failed",
  "upstream_timeout",
  "upstream_refused",
  "upstream_invalid",
]);

function explainKnown(error: unknown): string | undefined {
  if (error instanceof SluiceError) {
    if (error.code === "storage_failed") return explainStorage(error);
    return explained.has(error.code) ? error.message : undefined;
  }
  return isSystemError(error) ? explainListen(error) : undefined;
}

/** Whoever lost a log of checksums is not helped by another folder. */
function explainStorage({ message, details }: SluiceError): string {
  return details["mayMove"] === false
    ? message
    : `${message}; or choose another folder with --data-dir or SLUICE_DATA_DIR`;
}

function explainListen({ code, syscall, address = "", port = 0, hostname = "" }: SystemError): string | undefined {
  if (syscall === "getaddrinfo")
    return `cannot listen on ${hostname}, which is no name of this machine; write an IP address, such as --listen 127.0.0.1:3000`;
  if (syscall !== "listen" && syscall !== "bind") return undefined;
  const place = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  if (code === "EADDRINUSE") {
    return `cannot listen on ${place}, which another program uses; stop that one, or choose another port with --listen or SLUICE_LISTEN`;
  }
  if (code === "EACCES") {
    return `cannot listen on ${place}, which this user is not allowed to; choose a port above 1023 with --listen or SLUICE_LISTEN`;
  }
  if (code === "EADDRNOTAVAIL") {
    return `cannot listen on ${place}, which is no address of this machine; choose one with --listen or SLUICE_LISTEN, such as :${port} for all of them`;
  }
  if (code === "EAFNOSUPPORT") {
    return `cannot listen on ${place}, as this machine has no addresses of that kind; choose another with --listen or SLUICE_LISTEN`;
  }
  return undefined;
}

interface SystemError extends NodeJS.ErrnoException {
  readonly address?: string;
  readonly port?: number;
  readonly hostname?: string;
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error;
}

/** The error and its causes. */
function chainOf(error: unknown): unknown[] {
  const links: unknown[] = [];
  for (
    let link = error;
    link !== undefined && !links.includes(link);
    link = link instanceof Error ? link.cause : undefined
  ) {
    links.push(link);
  }
  return links;
}
