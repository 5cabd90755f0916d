import { SluiceError } from "../core/errors.ts";

/** What a forward proxy is asked to connect to. */
export interface TunnelTarget {
  /** Without brackets. */
  readonly hostname: string;
  readonly port: number;
  readonly signal: AbortSignal;
}

/** Where a proxy listens. */
export function proxyAddress(proxy: URL): { hostname: string; port: number; secure: boolean } {
  const secure = proxy.protocol === "https:";
  const defaultPort = proxy.protocol.startsWith("socks5") ? 1080 : secure ? 443 : 80;
  return { hostname: proxy.hostname.replace(/^\[|\]$/g, ""), port: Number(proxy.port) || defaultPort, secure };
}

/** The username and password of the proxy's userinfo, decoded. */
export function proxyCredentials(proxy: URL): { username: string; password: string } | undefined {
  if (proxy.username === "" && proxy.password === "") return undefined;
  return { username: decodeURIComponent(proxy.username), password: decodeURIComponent(proxy.password) };
}

/** The value of `Proxy-Authorization` that the proxy's userinfo asks for. */
export function proxyAuthorization(proxy: URL): string | undefined {
  const credentials = proxyCredentials(proxy);
  if (credentials === undefined) return undefined;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
}

/** The proxy answered no. Said without its body, which others wrote. */
export function proxyRefused(proxy: URL, host: string, answer: string): SluiceError {
  return new SluiceError(
    "upstream_failed",
    `${host}: the proxy ${proxy.host} answered ${answer}. Check HTTPS_PROXY and its credentials, or add the host to NO_PROXY.`,
    { details: { host, proxy: proxy.host } },
  );
}
