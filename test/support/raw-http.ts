import { type Agent, type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The transfer broke before its end. */
  readonly broken: boolean;
}

/** One request whose path goes over the wire as it is written here, on a connection of its own. */
export function ask(
  base: string,
  path: string,
  options: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    /** Default: a connection of its own. */
    readonly agent?: Agent;
  } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        hostname,
        port,
        path,
        method: options.method ?? "GET",
        headers: options.headers ?? {},
        agent: options.agent ?? false,
        signal: options.signal,
      },
      (response) => {
        const chunks: Buffer[] = [];
        const finish = (broken: boolean): void => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks), broken });
        };
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => finish(!response.complete));
        response.on("error", () => finish(true));
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** Sends bytes that need not be HTTP and answers all that comes back until the server closes. */
export async function sendBytes(base: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.write(bytes, "latin1");
  return text(socket);
}
