const hidden = "***";
const secretHeaders =
  /^(authorization|proxy-authorization|cookie|set-cookie|.*(token|secret|password|api-?key|signature).*|x-jfrog-art-api)$/i;
const userinfoInText = /(\b[a-z][a-z0-9+.-]*:\/\/)[^/?#\s"'<>\\]*@/gi;
const queryInText = /(\b[a-z][a-z0-9+.-]*:\/\/[^?#\s"'<>]*)\?[^#\s"'<>]*/gi;

/**
 * A URL for messages: no userinfo, and a query only as `?***`, because redirects to object stores carry their credentials
 * there. Text that is no URL is treated as `redactText` does.
 */
export function redactUrl(url: URL | string): string {
  return redactText(typeof url === "string" ? url : url.href);
}

/** Hides userinfo and queries of all URLs within a text that others wrote. */
export function redactText(text: string): string {
  return text.replace(userinfoInText, `$1`).replace(queryInText, `$1?${hidden}`);
}

/** Headers for logs and test messages: the values of those that can carry a secret are hidden, the others have their URLs redacted. */
export function redactHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, secretHeaders.test(name) ? hidden : redactText(value)]),
  );
}
