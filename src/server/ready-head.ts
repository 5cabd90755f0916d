import { type ServerResponse, STATUS_CODES } from "node:http";

/** A response head as text, but for its status line and what each response has of its own. */
export type ReadyHead = string;

/** `headers` is name, value, name, value …; they must be valid, as nobody checks them again. */
export function readyHead(headers: readonly string[], keepAliveTimeoutMs: number): ReadyHead {
  let head = `HTTP/1.1 200 ${STATUS_CODES[200]}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  // As Node itself says of a connection that stays open.
  return `${head}Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n`;
}

interface WithHead {
  _header: string | null;
}

/**
 * Whether this response can be sent with a ready head: its connection stays open, and Node keeps a response's head where it
 * has kept it since its first versions. It validates and assembles every header of every response anew, which is a tenth of
 * the whole cost of a small answer; `_header` is the place of the result, where other packages look too.
 */
function takesReadyHead(response: ServerResponse): response is ServerResponse & WithHead {
  return response.shouldKeepAlive && "_header" in response && response._header === null;
}

/** Sends 200 with a ready head and `own` headers (whole lines, each with its end). False: nothing was sent, take the ordinary way. */
export function endWithReadyHead(
  response: ServerResponse,
  head: { readonly ready: ReadyHead; readonly own: string },
  body: Uint8Array | string | undefined,
): boolean {
  if (!takesReadyHead(response)) return false;
  response._header = `${head.ready}${head.own}\r\n`;
  if (body === undefined) response.end();
  else if (typeof body === "string") response.end(body, "latin1");
  else response.end(body);
  return true;
}

/** The `Date` header, made once a second. */
export class DateLine {
  #second = 0;
  #line = "";

  at(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#line = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
    }
    return this.#line;
  }
}
