import { errorTable, type ErrorCode } from "../../src/core/errors.ts";
import { generatedNotice, table } from "./table.ts";

/** What whoever sees the error can do about it. */
const advice: Readonly<Record<ErrorCode, string>> = {
  not_found:
    "Check the spelling of the module and the version. A tag pushed a moment ago is seen when `freshness.not_found` has passed.",
  not_cached: "Ask without `/cached-only/` or the header, so that Sluice may fetch it.",
  malformed_request: "Check the module path or version in the message. A browser or probe can use `/healthz`.",
  method_not_allowed: "Use GET or HEAD.",
  request_timeout:
    "Look for a slow network or front end between the client and Sluice; the limit is `server.header_timeout`.",
  uri_too_long: "The limit is `server.max_url_bytes`.",
  range_not_satisfiable: "Ask again without `Range`.",
  headers_too_large: "Look for what a front end or client adds; the limit is `server.max_header_bytes`.",
  bad_request: "Look at what the client or front end sends.",
  request_too_large: "Send less: a purge names a module, a version or a pattern.",
  unauthorized:
    "Show the token: `sluice purge` and its kin find it on the same machine, else it is in `SLUICE_ADMIN_TOKEN`.",
  denied: "Ask whom the message names. `[access]` has the rules.",
  drill_refused:
    "Wait for the end of the one that runs, or end it. Drills are for staging: `drill.enabled` is for there.",
  rate_limited:
    "Wait, and try again. A build farm behind one address belongs into `limits.bypass`, or into its own budget by `server.trusted_proxies`.",
  upstream_failed:
    "Try again. If it stays, see whether Sluice's machine reaches the upstream named in the message. A second one behind a `|` helps.",
  upstream_timeout:
    "Try again: what an upstream has to build first is often ready by then. The limits are in `[upstream]` and `[fetch]`.",
  upstream_refused:
    "Check the upstream's credentials. If it answers so for what it does not have, list the status in `not_found_status` of an `[[upstream.override]]`.",
  upstream_invalid:
    "See what stands at the upstream's URL in the message: often a login page, or something between it and Sluice that changes answers.",
  integrity:
    "Treat it as serious until explained: look at the upstream named in the log. What was stored before stays as it is.",
  unverified:
    "Try again: the database may not have been reached. If the module is private, say so with `[[private]]` or `sumdb.no_verify`; if it is new, its database needs a moment to learn of it.",
  private_name:
    "Set `GOSUMDB` of the client to Sluice's own log (`sluice sumdb` prints the line), or `GONOSUMDB` to the private modules.",
  restarting: "Try again. If it stays, Sluice's log says why the process ends.",
  loop: "Take Sluice's own address, and that of the front end before it, out of `upstream.chain` (or `GOPROXY` of its environment).",
  overloaded: "Try again. If it stays, the upstream is too slow for the demand, or `upstream.concurrency` too low.",
  offline:
    "Put Sluice online again, where it was taken offline on purpose: take out `fetch.offline` or `--offline`, or turn the switch.",
  draining: "Try again; a front end should ask another node until `/readyz` answers 200.",
  storage_failed: "Free disk space, or make the folder of `store.data_dir` writable.",
  cancelled: "Nothing: nobody is left who waits for the answer. It only stands in logs and metrics.",
  config_invalid: "Do what the sentence says. `sluice config check` tries it without serving.",
  internal: "Report the bug with the log line that has this request id.",
};

export function errorsPage(): string {
  const rows = Object.entries(errorTable).map(([code, { status, retryable, doc }]) => [
    `\`${code}\``,
    String(status),
    retryable ? "yes" : "no",
    doc,
    isErrorCode(code) ? advice[code] : "",
  ]);
  return `${generatedNotice}

# Errors

Every error Sluice answers or ends with has one of these codes. It stands in the last line of the answer, next to the request
id, and in the log line of the request, which has the same id.

- 404 means that the module or version does not exist, or that the URL can never be one. An outage, bad credentials or an
  overload is never a 404, because \`go\` goes on to the next entry of its own \`GOPROXY\` after a 404.
- “Retry” says whether the same request can succeed later. Such answers with status 429, 502, 503 or 504 carry \`Retry-After\`.
- 499 is never sent: it is what the log says when the client has left.

${table(["Code", "Status", "Retry", "Meaning", "What to do"], rows)}

## Exit codes of the command

${table(
  ["Exit code", "Meaning"],
  [
    ["0", "Done. Also after SIGTERM or Ctrl-C, when everything under way was finished."],
    ["1", "Something unforeseen: a bug, with its stack on standard error."],
    [
      "2",
      "Something you can put right: configuration, usage, an address in use, a folder that cannot be written, a file that cannot be read, a Node.js that is too old. One sentence on standard error says what and how.",
    ],
    ["130", "A second signal came before everything under way was finished."],
  ],
)}
`;
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorTable, code);
}
