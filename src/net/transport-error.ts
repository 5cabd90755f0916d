import { SluiceError, type ErrorCode } from "../core/errors.ts";
import { redactText } from "./redact.ts";

/** What the message says beside the cause, so that a person knows where to look. */
export interface TransportContext {
  /** `host` or `host:port`. */
  readonly host: string;
  /** For what took too long, in milliseconds. */
  readonly connectMs?: number;
  readonly firstByteMs?: number;
}

interface Explanation {
  readonly code: Extract<ErrorCode, "upstream_failed" | "upstream_timeout" | "upstream_invalid">;
  readonly text: string;
  /** Set when asking again cannot help before a person did something. */
  readonly permanent?: true;
}

const untrusted =
  "its TLS certificate is signed by an authority this machine does not know. Behind a company CA, name that CA's PEM file in its `ca_file` or in SSL_CERT_FILE";

/** The name of undici's error for bytes that are not HTTP, which has no code. */
const notHttp = "HTTPParserError";

/** Turns what sockets, TLS, DNS and undici throw into the error that leaves net/. The message names host, cause and what to do. */
export function transportError(error: unknown, context: TransportContext): SluiceError {
  if (error instanceof SluiceError) return error;
  const reason = errorCode(error) ?? "unknown";
  const { code, text, permanent } = explain(reason, error, context);
  return new SluiceError(code, `${context.host}: ${text}.`, {
    cause: withoutBody(error),
    details: { host: context.host, reason, ...(permanent && { permanent }) },
  });
}

/** True for an error that asking again can not mend: an unknown CA, a wrong host name, a refused redirect. */
export function isPermanent(error: SluiceError): boolean {
  return error.details["permanent"] === true;
}

/** A code such as `ECONNREFUSED`, also of the errors that wrap others. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error.name === notHttp) return notHttp;
  if (error instanceof AggregateError) {
    for (const inner of error.errors) {
      const code = errorCode(inner);
      if (code !== undefined) return code;
    }
  }
  return errorCode(error.cause);
}

function explain(reason: string, error: unknown, context: TransportContext): Explanation {
  switch (reason) {
    case "ECONNREFUSED":
      return failed(`refused the connection (${reason}). Check the address and port, and that the server runs`);
    case "ENOTFOUND":
    case "ENODATA":
      return failed(`the name has no address in DNS (${reason}). Check its spelling and this machine's resolver`);
    case "EAI_AGAIN":
      return failed(`DNS did not answer (${reason}). Check this machine's resolver`);
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "EADDRNOTAVAIL":
      return failed(
        `there is no route to it from here (${reason}). Check the network, or whether HTTPS_PROXY must be set`,
      );
    case "ETIMEDOUT":
    case "UND_ERR_CONNECT_TIMEOUT":
      return timedOut(
        `did not accept a connection${within(context.connectMs)}. Check firewalls, or whether HTTPS_PROXY must be set`,
      );
    case "UND_ERR_HEADERS_TIMEOUT":
      return timedOut(`did not begin to answer${within(context.firstByteMs)}`);
    case "UND_ERR_BODY_TIMEOUT":
      return timedOut("stopped sending in the middle of a body");
    case "ECONNRESET":
    case "EPIPE":
    case "UND_ERR_SOCKET":
    case "UND_ERR_CLOSED":
    case "UND_ERR_DESTROYED":
    case "UND_ERR_ABORTED":
      return failed(`closed the connection before the answer was complete (${reason})`);
    case "UND_ERR_HEADERS_OVERFLOW":
      return invalid("answered with headers larger than Sluice reads. Is it a GOPROXY?");
    case notHttp:
      return invalid("did not answer in HTTP. Check the scheme and port");
    case "UND_ERR_RES_CONTENT_LENGTH_MISMATCH":
      return invalid("sent a body whose size is not the Content-Length it promised");
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return lasting(failed(`${untrusted} (${reason})`));
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return lasting(
        failed("its TLS certificate is for another host name. Check the address, or the proxy in between"),
      );
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
      return lasting(
        failed(`its TLS certificate is not valid now (${reason}). Check this machine's clock, then the certificate`),
      );
    default:
      // Names of openssl's X509_V_ERR_ codes.
      if (/^(CERT_|UNABLE_TO_|INVALID_|PATH_LENGTH_|HOSTNAME_|CRL_|ERR_TLS_CERT)/.test(reason)) {
        return lasting(
          failed(`its TLS certificate is not good (${reason}). Check what it is for, and the proxy in between`),
        );
      }
      if (reason === "ERR_SSL_WRONG_VERSION_NUMBER") {
        return lasting(failed(`does not speak TLS (${reason}). Check the scheme and port`));
      }
      if (/^(ERR_SSL|ERR_TLS|EPROTO)/.test(reason))
        return failed(`no TLS connection (${reason}). Check the scheme and port`);
      return failed(`the request failed: ${redactText(error instanceof Error ? error.message : String(error))}`);
  }
}

/** That error carries the bytes it could not read, and what an upstream said belongs in no log. */
function withoutBody(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== notHttp) return error;
  const shown = new Error(error.message);
  shown.name = notHttp;
  return shown;
}

function within(limitMs: number | undefined): string {
  return limitMs === undefined ? " in time" : ` within ${limitMs / 1000} s`;
}

function failed(text: string): Explanation {
  return { code: "upstream_failed", text };
}

function timedOut(text: string): Explanation {
  return { code: "upstream_timeout", text };
}

function invalid(text: string): Explanation {
  return { code: "upstream_invalid", text };
}

function lasting(explanation: Explanation): Explanation {
  return { ...explanation, permanent: true };
}
