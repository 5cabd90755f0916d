import { text } from "node:stream/consumers";
import { withHttpClient } from "../../compose-tools.ts";
import type { Config } from "../../config/index.ts";
import { isSluiceError, SluiceError } from "../../core/errors.ts";
import { readAdminToken } from "../../ops/admin-token.ts";
import { redactUrl } from "../../net/redact.ts";
import { localUrl } from "../local-url.ts";

/** Which Sluice is asked. */
export interface Place {
  /** As the command line has it, if it does. */
  readonly url: string | undefined;
  readonly config: Config;
}

const timeoutMs = 30_000;
const maxAnswerBytes = 4 * 1024 * 1024;

/**
 * Asks the API of a Sluice that runs, with this machine's token: `body` is sent by POST where there is one. Fails with a sentence for
 * the operator.
 */
export async function askSluice(place: Place, path: string, body?: object | "DELETE"): Promise<unknown> {
  const base = addressOf(place);
  const token = await tokenFor(place);
  return withHttpClient(async (http) => {
    const response = await http
      .get({
        url: new URL(`${base}/-/${path}`),
        method: body === undefined ? "GET" : body === "DELETE" ? body : "POST",
        body: typeof body === "object" ? JSON.stringify(body) : undefined,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        signal: AbortSignal.timeout(timeoutMs),
        maxBytes: maxAnswerBytes,
      })
      .catch((error: unknown) => {
        throw isSluiceError(error) ? unreachable(base, error) : error;
      });
    const answer = parseJson(await text(response.body));
    if (response.status === 200 && answer !== undefined) return answer;
    throw refusal(answer, { base, status: response.status });
  });
}

function addressOf({ url, config }: Place): string {
  if (url === undefined) {
    if (config.server.listen.port !== 0) return localUrl(config);
    throw new SluiceError(
      "config_invalid",
      "the configuration lets Sluice listen on any free port; say where it is with --url, as it stands in GOPROXY",
    );
  }
  const parsed = URL.parse(url);
  if (parsed !== null && /^https?:$/.test(parsed.protocol)) return url.replace(/\/+$/, "");
  throw new SluiceError(
    "config_invalid",
    `--url ${JSON.stringify(url)} is no address; write it as in GOPROXY, such as http://127.0.0.1:3000`,
  );
}

async function tokenFor({ config }: Place): Promise<string> {
  const token = config.adminToken ?? (await readAdminToken(config.store.dataDir));
  if (token !== undefined) return token.reveal();
  throw new SluiceError(
    "config_invalid",
    `there is no admin token: none in the configuration, and no admin.token in ${config.store.dataDir}; name the data folder of the Sluice that runs with --data-dir, or give the token in SLUICE_ADMIN_TOKEN`,
  );
}

function unreachable(base: string, cause: SluiceError): SluiceError {
  return new SluiceError(
    "upstream_failed",
    `no Sluice answers at ${redactUrl(new URL(base))} (${cause.message.replace(/\.$/, "")}); start it, or say where it is with --url`,
    { cause },
  );
}

/** The words of the Sluice that was asked, or what to think of something that is none. */
function refusal(answer: unknown, { base, status }: { readonly base: string; readonly status: number }): SluiceError {
  const shown = redactUrl(new URL(base));
  const message = messageOf(answer);
  if (message === undefined) {
    return new SluiceError(
      "upstream_invalid",
      `what answers at ${shown} (with status ${status}) is no Sluice, or an older one; say where it is with --url, as it stands in GOPROXY`,
    );
  }
  return new SluiceError(status === 401 ? "unauthorized" : "bad_request", `${shown}: ${message}`);
}

function messageOf(answer: unknown): string | undefined {
  const error = fieldOf(answer, "error");
  const message = fieldOf(error, "message");
  return typeof message === "string" ? message : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
