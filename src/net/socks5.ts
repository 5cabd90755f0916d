import type { Socket } from "node:net";
import { ipBytes } from "./ip-address.ts";
import { proxyCredentials, proxyRefused, type TunnelTarget } from "./proxy.ts";

const version = 5;
const noAuthentication = 0;
const usernamePassword = 2;
const connectCommand = 1;
const replies = [
  "success",
  "a general failure",
  "that its rules do not allow this",
  "that the network is unreachable",
  "that the host is unreachable",
  "that the host refused the connection",
  "that the time to live ran out",
  "that it does not know the command",
  "that it does not know the address type",
];

/** RFC 1928 with RFC 1929's username and password. Names are resolved by the proxy. */
export async function socks5Connect(socket: Socket, proxy: URL, target: TunnelTarget): Promise<Socket> {
  const onAbort = (): void => {
    socket.destroy(new DOMException("connecting was aborted", "AbortError"));
  };
  target.signal.addEventListener("abort", onAbort, { once: true });
  try {
    await negotiate(socket, proxy, target);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    target.signal.removeEventListener("abort", onAbort);
  }
}

async function negotiate(socket: Socket, proxy: URL, target: TunnelTarget): Promise<void> {
  const credentials = proxyCredentials(proxy);
  const methods = credentials === undefined ? [noAuthentication] : [noAuthentication, usernamePassword];
  socket.write(Uint8Array.of(version, methods.length, ...methods));
  const [answeredVersion, method] = await readExactly(socket, 2);
  if (answeredVersion !== version) throw refused("in another language than SOCKS5");
  if (method === usernamePassword && credentials !== undefined) {
    socket.write(Buffer.concat([Uint8Array.of(1), counted(credentials.username), counted(credentials.password)]));
    const [, status] = await readExactly(socket, 2);
    if (status !== 0) throw refused("that the credentials are wrong");
  } else if (method !== noAuthentication) {
    throw refused("that it wants other credentials");
  }

  const port = Uint8Array.of(target.port >> 8, target.port & 0xff);
  socket.write(Buffer.concat([Uint8Array.of(version, connectCommand, 0), address(target.hostname), port]));
  const [, reply = 1, , kind] = await readExactly(socket, 4);
  if (reply !== 0) throw refused(replies[reply] ?? `SOCKS5 code ${reply}`);
  // The bound address is of no use here; it has to be read to reach the tunnelled bytes.
  const bound = kind === 1 ? 4 : kind === 4 ? 16 : ((await readExactly(socket, 1))[0] ?? 0);
  await readExactly(socket, bound + 2);

  function refused(answer: string): Error {
    return proxyRefused(proxy, target.hostname, answer);
  }
}

function address(hostname: string): Uint8Array {
  const ip = ipBytes(hostname);
  if (ip !== undefined) return Buffer.concat([Uint8Array.of(ip.length === 4 ? 1 : 4), ip]);
  return Buffer.concat([Uint8Array.of(3), counted(hostname)]);
}

function counted(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new RangeError("SOCKS5 carries at most 255 bytes");
  return Buffer.concat([Uint8Array.of(bytes.length), bytes]);
}

/** Reads so many bytes and leaves all behind them in the socket. */
function readExactly(socket: Socket, count: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void): void => {
      socket.off("readable", onReadable).off("error", onError).off("close", onClose);
      outcome();
    };
    const onReadable = (): void => {
      const bytes: unknown = socket.read(count);
      if (bytes instanceof Uint8Array && bytes.length === count) settle(() => resolve(bytes));
    };
    const onError = (error: Error): void => settle(() => reject(error));
    const onClose = (): void =>
      settle(() => reject(Object.assign(new Error("the proxy closed the connection"), { code: "ECONNRESET" })));
    socket.on("readable", onReadable).on("error", onError).on("close", onClose);
    onReadable();
  });
}
