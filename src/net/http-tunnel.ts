import { request, type IncomingMessage } from "node:http";
import { isIPv6, type Socket } from "node:net";
import { proxyAuthorization, proxyRefused, type TunnelTarget } from "./proxy.ts";

const maxHeaderBytes = 65_536;

/** CONNECT through an open connection to an HTTP proxy. Fails with `upstream_failed` when the proxy will not. */
export function httpConnect(socket: Socket, proxy: URL, target: TunnelTarget): Promise<Socket> {
  const authority = `${isIPv6(target.hostname) ? `[${target.hostname}]` : target.hostname}:${target.port}`;
  const authorization = proxyAuthorization(proxy);
  return new Promise((resolve, reject) => {
    const asked = request({
      method: "CONNECT",
      path: authority,
      headers: { host: authority, ...(authorization !== undefined && { "proxy-authorization": authorization }) },
      createConnection: () => socket,
      signal: target.signal,
      maxHeaderSize: maxHeaderBytes,
    });
    const refuse = ({ statusCode }: IncomingMessage): void => {
      socket.destroy();
      reject(proxyRefused(proxy, target.hostname, statusCode === 407 ? "407 (it wants credentials)" : `${statusCode}`));
    };
    asked.on("connect", (response, tunnelled: Socket, head) => {
      if (response.statusCode !== 200) return refuse(response);
      if (head.length > 0) tunnelled.unshift(head);
      resolve(tunnelled);
    });
    asked.on("response", refuse);
    asked.on("error", (error) => {
      socket.destroy();
      reject(error);
    });
    asked.end();
  });
}
