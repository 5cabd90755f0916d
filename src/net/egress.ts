import { SluiceError } from "../core/errors.ts";
import { parseNoProxy } from "./no-proxy.ts";
import { redactText } from "./redact.ts";

/** The forward proxy that requests to a URL go through, or undefined when they go straight. Its userinfo are its credentials. */
export type Egress = (url: URL) => URL | undefined;

export type Environment = Readonly<Record<string, string | undefined>>;

const schemes = new Set(["http:", "https:", "socks5:", "socks5h:"]);

/**
 * HTTPS_PROXY, HTTP_PROXY and NO_PROXY, or their lowercase forms, as Go's net/http reads them. Where a CGI server started us,
 * HTTP_PROXY is what a client sent as the header `Proxy`, and is ignored. Fails with `config_invalid` on an address that is none,
 * where Go would silently go without a proxy.
 */
export function createEgress(env: Environment): Egress {
  const httpsProxy = proxyOf(env, ["HTTPS_PROXY", "https_proxy"]);
  const isCgi = (env["REQUEST_METHOD"] ?? "") !== "";
  const httpProxy = isCgi ? undefined : proxyOf(env, ["HTTP_PROXY", "http_proxy"]);
  const goesStraight = parseNoProxy(firstSet(env, ["NO_PROXY", "no_proxy"])?.value ?? "");
  return (url) => {
    const proxy = url.protocol === "https:" ? httpsProxy : httpProxy;
    return proxy === undefined || goesStraight(url) ? undefined : proxy;
  };
}

function proxyOf(env: Environment, names: readonly string[]): URL | undefined {
  const setting = firstSet(env, names);
  if (setting === undefined) return undefined;
  // `proxy.example.com:3128` is the usual short form of an http: address.
  const url = URL.parse(setting.value.includes("://") ? setting.value : `http://${setting.value}`);
  if (url === null || url.hostname === "") throw invalid(setting, "is not the address of a proxy");
  if (!schemes.has(url.protocol)) throw invalid(setting, `has a scheme, ${url.protocol}, that Sluice does not speak`);
  if (!isDecodable(url.username) || !isDecodable(url.password)) {
    throw invalid(setting, "has credentials with a % that is not the beginning of an escape; write %25 for %");
  }
  return url;
}

function firstSet(env: Environment, names: readonly string[]): { name: string; value: string } | undefined {
  for (const name of names) {
    const value = env[name];
    if (value !== undefined && value !== "") return { name, value };
  }
  return undefined;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function invalid({ name, value }: { name: string; value: string }, problem: string): SluiceError {
  // A bare `user:password@host` has no scheme that redaction could go by.
  const shown = redactText(value.includes("://") ? value : `http://${value}`);
  return new SluiceError(
    "config_invalid",
    `${name}=${shown} ${problem}. Write it as http://proxy.example.com:3128, or unset it.`,
  );
}
