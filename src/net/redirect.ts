import { SluiceError } from "../core/errors.ts";
import { redactUrl } from "./redact.ts";

/** One request of an exchange. */
export interface Hop {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Some hop on the way here left the first origin. From there on nothing goes along that could be a secret. */
  readonly foreign: boolean;
}

const redirects = new Set([301, 302, 303, 307, 308]);

// Any other header could carry a token, whatever its name, and was meant for the first origin.
const harmless =
  /^(accept|accept-encoding|accept-language|disable-module-fetch|range|if-range|if-match|if-none-match|if-modified-since|if-unmodified-since)$/i;

/**
 * Where an answer leads, or undefined when it is the answer. Fails with `upstream_invalid` where go's client would not follow
 * either (to another protocol, from https to http), and where a server is made to fetch what its operator did not mean.
 */
export function nextHop(
  hop: Hop,
  {
    status,
    location,
    insecure = false,
  }: { status: number; location: string | undefined; insecure?: boolean | undefined },
): Hop | undefined {
  if (!redirects.has(status) || location === undefined || location === "") return undefined;
  const url = URL.parse(location, hop.url);
  if (url === null) throw refused(hop, "to something that is not a URL");
  url.username = url.password = url.hash = "";
  const shown = redactUrl(url);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw refused(hop, `to ${url.protocol}, which is not HTTP`);
  if (url.protocol === "http:" && hop.url.protocol === "https:" && !insecure)
    throw refused(hop, `from https to ${shown}, where anybody could change the answer`);
  if (url.origin === hop.url.origin) return { ...hop, url };
  const headers = Object.fromEntries(Object.entries(hop.headers).filter(([name]) => harmless.test(name)));
  return { url, headers, foreign: true };
}

function refused(hop: Hop, where: string): SluiceError {
  return new SluiceError("upstream_invalid", `${hop.url.host}: redirected ${where}. Sluice does not follow that.`, {
    details: { host: hop.url.host, permanent: true },
  });
}
