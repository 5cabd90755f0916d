/** One outbound request. */
export interface HttpRequest {
  readonly url: URL;
  /** Default GET. Redirects of others are answers. */
  readonly method?: "GET" | "POST" | "DELETE" | undefined;
  /** Of a POST. Default: none. */
  readonly body?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as Basic authorization, and only to the origin of `url`: a redirect to another origin does not get it. */
  readonly credentials?: { readonly username: string; readonly password: string } | undefined;
  readonly signal: AbortSignal;
  /** Which one for the same thing, counted from 1 (the default): who is in a hurry has more patience with later ones. */
  readonly attempt?: number | undefined;
  /** Somebody else is asked when this takes long: who is in a hurry gives up early. Default false. */
  readonly mayMoveOn?: boolean | undefined;
  /** Asked when the answer is late: how to have somebody else asked, who then ends this request by `signal` or not. Undefined: nobody. */
  readonly elsewhere?: (() => (() => void) | undefined) | undefined;
  /** The body fails with `upstream_invalid` behind this many decoded bytes. */
  readonly maxBytes: number;
  /**
   * For a URL that somebody else chose, such as a client by its module path: tells which hosts, of the URL or of a redirect, may
   * have an address within this network. Any other one that has fails with `upstream_refused` before anything is sent to it.
   * Default: the host of `url` may, and so may those it redirects to if it has such an address itself.
   */
  readonly mayBePrivate?: ((hostname: string) => boolean) | undefined;
  /** Any TLS certificate will do, and a redirect may lead from https to http. For what GOINSECURE names, and nothing else. */
  readonly insecure?: boolean | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Lowercase names. */
  readonly headers: Readonly<Record<string, string>>;
  /** After redirects. */
  readonly url: URL;
  /** Of the decoded body, when the server said so and did not compress it. */
  readonly size: number | undefined;
  /** Decoded. Fails with an `upstream_*` code; a body shorter or longer than `Content-Length` is `upstream_invalid`. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Lets go of an unread body. Safe to call twice and after reading. */
  discard(): void;
}

/**
 * The one outbound gate. Fails with `upstream_failed` (connect, DNS, TLS, reset), `upstream_timeout`, `upstream_invalid`
 * (not HTTP, too many redirects, downgrade) or `cancelled` (the caller's signal). Any status is an answer, not an error.
 * Messages name host and cause and never userinfo.
 */
export interface HttpClient {
  get(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}
