/** What an operator and a client may expect of an error code. `status` is the HTTP answer of server/ (DESIGN §3.2). */
interface ErrorRule {
  readonly status: number;
  /** Trying the same thing again later can succeed. Answered with `Retry-After` where the status is 429, 502, 503 or 504. */
  readonly retryable: boolean;
  /** The message may be shown to whoever asked. Others see the code and the request id only. */
  readonly public: boolean;
  readonly doc: string;
}

/** Every error Sluice can answer or exit with. `docs/errors.md` is generated from this table. */
export const errorTable = {
  not_found: {
    status: 404,
    retryable: false,
    public: true,
    doc: "Every source in the chain said that the module, version or query does not exist, or the chain ends in `off` or `direct`.",
  },
  not_cached: {
    status: 404,
    retryable: false,
    public: true,
    doc: "The client asked for stored content only (`/cached-only/` or `Disable-Module-Fetch: true`) and Sluice has not stored this.",
  },
  malformed_request: {
    status: 404,
    retryable: false,
    public: true,
    doc: "The URL is not one of the GOPROXY protocol: a malformed module path, version or escape. Nothing was asked of any source.",
  },
  method_not_allowed: {
    status: 405,
    retryable: false,
    public: true,
    doc: "Only GET and HEAD are answered on protocol URLs.",
  },
  request_timeout: { status: 408, retryable: true, public: true, doc: "The client did not send its request in time." },
  uri_too_long: {
    status: 414,
    retryable: false,
    public: true,
    doc: "The request URL is longer than any module path can be.",
  },
  range_not_satisfiable: {
    status: 416,
    retryable: false,
    public: true,
    doc: "The requested byte range starts behind the end of the file.",
  },
  headers_too_large: {
    status: 431,
    retryable: false,
    public: true,
    doc: "The request's headers are larger than Sluice reads.",
  },
  bad_request: {
    status: 400,
    retryable: false,
    public: true,
    doc: "The request is not valid HTTP, or it asks a checksum database for something that is no module version and no tile.",
  },
  request_too_large: {
    status: 413,
    retryable: false,
    public: true,
    doc: "The body of a request to Sluice's own API (`/-/`) is larger than it reads.",
  },
  unauthorized: {
    status: 401,
    retryable: false,
    public: true,
    doc: "A request to Sluice's own API (`/-/`) needs `Authorization: Bearer <token>` with the token of `[admin]`.",
  },
  denied: {
    status: 403,
    retryable: false,
    public: true,
    doc: "The client's network, or the module, is not allowed by `[access]`. The message names the rule and whom to ask.",
  },
  drill_refused: {
    status: 409,
    retryable: false,
    public: true,
    doc: "A drill cannot be started: they are off (`[drill]`), or another one runs.",
  },
  rate_limited: {
    status: 429,
    retryable: true,
    public: true,
    doc: "The client asks for more than `[limits]` gives to one.",
  },
  upstream_failed: {
    status: 502,
    retryable: true,
    public: true,
    doc: "An upstream could not be reached, broke off, or answered a server error, and nothing stored can answer instead.",
  },
  upstream_timeout: {
    status: 504,
    retryable: true,
    public: true,
    doc: "An upstream did not answer within its time limits, and nothing stored can answer instead.",
  },
  upstream_refused: {
    status: 502,
    retryable: false,
    public: true,
    doc: "An upstream refused Sluice's request (401, 403 or another 4xx that does not mean `does not exist`). Check its credentials, or set `not_found_status` for it.",
  },
  upstream_invalid: {
    status: 502,
    retryable: true,
    public: true,
    doc: "An upstream answered 200 with something that is not what was asked for: an HTML page, broken JSON, another version, a body that is too short or too large.",
  },
  integrity: {
    status: 502,
    retryable: false,
    public: true,
    doc: "What an upstream sent, or what was stored, is not a valid module file (a wrong size, CRC or zip structure), or a checksum database has another hash of it, or that database contradicts itself. Nothing of it was kept.",
  },
  unverified: {
    status: 502,
    retryable: true,
    public: true,
    doc: "No checksum database confirms this module version, and the configuration wants it confirmed (`sumdb.verify`, or a module that came straight from a repository). If it is private, say so with `[[private]]`.",
  },
  private_name: {
    status: 403,
    retryable: false,
    public: true,
    doc: "A client asked for the checksum of a private module at a public checksum database, which would tell its name. Set GOSUMDB to Sluice's own log, or GONOSUMDB for private modules.",
  },
  loop: {
    status: 508,
    retryable: false,
    public: true,
    doc: "The proxy chain leads back to this Sluice. Take its own address out of the chain.",
  },
  overloaded: {
    status: 503,
    retryable: true,
    public: true,
    doc: "Too many fetches are waiting for an upstream. Stored content is still served.",
  },
  offline: {
    status: 503,
    retryable: true,
    public: true,
    doc: "This Sluice is offline, by its configuration or an operator's word, and has not stored what was asked for. It asks nobody, and answers all that it has.",
  },
  draining: {
    status: 503,
    retryable: true,
    public: true,
    doc: "This node is shutting down. Ask again, or ask another node.",
  },
  restarting: {
    status: 503,
    retryable: true,
    public: true,
    doc: "The process that fetches modules (of a Sluice with `workers`) ended and is not back yet. Stored content is still served.",
  },
  storage_failed: {
    status: 503,
    retryable: true,
    public: true,
    doc: "The store could not be read or written (disk full, no permission, I/O error) and the answer did not fit into memory either.",
  },
  cancelled: { status: 499, retryable: true, public: true, doc: "The client went away before the answer was ready." },
  config_invalid: {
    status: 500,
    retryable: false,
    public: true,
    doc: "The configuration is wrong. The command ends with exit code 2 and says which setting, where it came from, and what to write.",
  },
  internal: {
    status: 500,
    retryable: true,
    public: false,
    doc: "A bug in Sluice. The log line with the request id carries the stack.",
  },
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorContext {
  readonly cause?: unknown;
  /** Facts for logs and tests. Never secrets, never an upstream's body. */
  readonly details?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Seconds a source asked to wait, passed on as `Retry-After`. */
  readonly retryAfterSeconds?: number | undefined;
}

/** The one error that leaves a port. Narrow by `code`. */
export class SluiceError extends Error {
  override readonly name = "SluiceError";
  readonly code: ErrorCode;
  readonly details: NonNullable<ErrorContext["details"]>;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.details = context.details ?? {};
    this.retryAfterSeconds = context.retryAfterSeconds;
  }
}

export function isSluiceError<Code extends ErrorCode>(
  error: unknown,
  ...codes: readonly Code[]
): error is SluiceError & { readonly code: Code } {
  return error instanceof SluiceError && (codes.length === 0 || (codes as readonly string[]).includes(error.code));
}
