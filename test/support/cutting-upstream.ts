import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** How one request for the file goes. */
export interface Scene {
  /** The file as it is now. Default: that of the upstream. */
  readonly bytes?: Uint8Array | undefined;
  /** Default: a strong one of the bytes. `null`: none. */
  readonly etag?: string | null | undefined;
  /** What becomes of a Range that is asked for (and of its If-Range). Default `honoured`. */
  readonly range?: "honoured" | "ignored" | "refused" | "another part" | "another total" | undefined;
  /** How Range is `refused`. Default 416. */
  readonly refusedWith?: number | undefined;
  /** The connection ends behind so many bytes of the body. */
  readonly cutAfter?: number | undefined;
  /** This status and no file. */
  readonly status?: number | undefined;
}

/** A server on loopback that has one file, whatever it is asked for. */
export interface CuttingUpstream extends AsyncDisposable {
  readonly url: string;
  /** Headers and status of every request, in order. */
  readonly requests: readonly { readonly range?: string; readonly ifRange?: string; readonly status: number }[];
  /** Bytes of bodies, all requests together. */
  readonly sentBytes: number;
}

/** `play` says how each request goes, counted from 1, and by its URL. */
export async function startCuttingUpstream(
  bytes: Uint8Array,
  play: (request: number, url: string) => Scene,
): Promise<CuttingUpstream> {
  const requests: { range?: string; ifRange?: string; status: number }[] = [];
  let sentBytes = 0;
  const server = createServer((request, response) => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const { range, "if-range": ifRange } = request.headers;
    const seen = { ...(range !== undefined && { range }), ...(ifRange !== undefined && { ifRange: String(ifRange) }) };
    const scene = play(requests.length + 1, request.url ?? "");
    const body = answer(request, response, { ...scene, bytes: scene.bytes ?? bytes });
    requests.push({ ...seen, status: response.statusCode });
    const part = body.subarray(0, scene.cutAfter ?? body.length);
    sentBytes += part.length;
    response.flushHeaders();
    // Flushed before the connection goes, so that the client surely has those bytes.
    if (part.length < body.length) response.write(part, () => response.socket?.destroySoon());
    else response.end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the upstream listens on no TCP port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    get sentBytes() {
      return sentBytes;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Sets the head and answers with the body for it. */
function answer(
  { headers }: IncomingMessage,
  response: ServerResponse,
  { bytes, status, ...scene }: Scene & { readonly bytes: Uint8Array },
): Uint8Array {
  const none = new Uint8Array();
  if (status !== undefined) {
    response.writeHead(status);
    return none;
  }
  const etag = scene.etag === undefined ? etagOf(bytes) : scene.etag;
  if (etag !== null) response.setHeader("etag", etag);
  const asked = /^bytes=(\d+)-$/.exec(headers.range ?? "");
  const isOther = headers["if-range"] !== undefined && headers["if-range"] !== etag;
  if (asked === null || scene.range === "ignored" || isOther) {
    response.writeHead(200, { "content-type": "application/zip", "content-length": bytes.length });
    return bytes;
  }
  const start = Number(asked[1]) + (scene.range === "another part" ? 100 : 0);
  if (scene.range === "refused" || start >= bytes.length) {
    response.writeHead(scene.refusedWith ?? 416, { "content-range": `bytes */${bytes.length}` });
    return none;
  }
  const total = bytes.length + (scene.range === "another total" ? 1 : 0);
  const body = bytes.subarray(start);
  response.writeHead(206, {
    "content-type": "application/zip",
    "content-length": body.length,
    "content-range": `bytes ${start}-${total - 1}/${total}`,
  });
  return body;
}

function etagOf(bytes: Uint8Array): string {
  return `"${createHash("sha256").update(bytes).digest("hex")}"`;
}
