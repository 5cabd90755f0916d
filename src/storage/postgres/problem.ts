import { SluiceError } from "../../core/errors.ts";
import { errorCode } from "../storage-error.ts";

/** No answer came in time. */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";

  constructor(timeoutMs: number) {
    super(`it did not answer within ${timeoutMs} ms`);
  }
}

/** The library's and Node's own: there is no server, or the connection to it ended. */
const unreachable =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN|ENOENT|EACCES|CONNECT_TIMEOUT|CONNECTION_(CLOSED|ENDED|DESTROYED))$/;
const dropped = /^(ECONNRESET|EPIPE|CONNECTION_CLOSED|57P01|57P02)$/;
/** SQLSTATE: connection exceptions, shutting down or starting, no connections or other resources left, only a standby. */
const unable = /^(08...|57P0[123]|53...|25006|58...|XX...)$/;
/** SQLSTATE: what an operator has to change: who may log in, the database's name, what its user may do. */
const misconfigured = /^(28...|3D000|42501|3F000)$/;
/** What the library and TLS say of certificates. */
const untrusted =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_)/;
/** SQLSTATE: a value that the database can never hold. */
const impossible = /^(22...|23...)$/;

/** The server cannot be used now; waiting may help. */
export function isUnreachable(error: unknown): boolean {
  const code = errorCode(error) ?? "";
  return error instanceof NoAnswerError || unreachable.test(code) || unable.test(code);
}

/** The connection ended under way, as when the server was started anew: another one may well work at once. */
export function isDropped(error: unknown): boolean {
  return dropped.test(errorCode(error) ?? "");
}

/** It will not work until somebody changes the configuration, here or in the database. */
export function isMisconfigured(error: unknown): boolean {
  const code = errorCode(error) ?? "";
  return misconfigured.test(code) || untrusted.test(code);
}

/** This statement will never work, whatever happens to the server. As `PostgresDatabase` fails with it. */
export function isImpossible(error: unknown): boolean {
  return impossible.test(errorCode(error instanceof SluiceError ? error.cause : error) ?? "");
}

/** Which operation on which database failed, why, and what to do. No part of the URL but its printable name. */
export function postgresError(operation: string, database: string, cause: unknown): SluiceError {
  if (cause instanceof SluiceError) return cause;
  return new SluiceError("storage_failed", `cannot ${operation} ${database}: ${reasonOf(cause)}`, {
    cause,
    details: { operation, sqlstate: errorCode(cause) },
    retryAfterSeconds: 10,
  });
}

/** The end of a sentence. */
export function reasonOf(cause: unknown): string {
  const code = errorCode(cause) ?? "";
  const message = cause instanceof Error && cause.message !== "" ? cause.message : code || String(cause);
  const advice = adviceFor(code);
  return advice === undefined ? message : `${message}: ${advice}`;
}

function adviceFor(code: string): string | undefined {
  if (code === "ECONNREFUSED" || code === "ENOENT") return "check that the server runs there";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "check the host's name";
  if (code.startsWith("28")) return "check user and password in [database], and pg_hba.conf";
  if (code === "3D000") return "make it with createdb, or name another one in [database]";
  if (code === "42501" || code === "3F000") return "let its user create tables in its schema";
  if (code === "53300") return "raise max_connections there, or lower connections in [database]";
  if (code === "25006") return "name the primary in [database]";
  if (untrusted.test(code)) return "name its authority with ca_file in [database]";
  return undefined;
}
