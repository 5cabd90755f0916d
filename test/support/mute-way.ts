import { connect, createServer } from "node:net";
import { listen } from "./loopback.ts";

/** A way to a server, closed when the test ends, that passes nothing on any more once a client has sent these words. */
export async function muteFrom(words: string, to: number): Promise<{ readonly port: number; hasBegun(): boolean }> {
  let isMute = false;
  const { port } = await listen(
    createServer((client) => {
      const server = connect(to, "127.0.0.1");
      client.on("close", () => server.destroy());
      server.on("error", () => client.destroy());
      client.on("data", (chunk) => {
        isMute ||= chunk.includes(words);
        if (!isMute) server.write(chunk);
      });
      server.on("data", (chunk) => void (isMute || client.write(chunk)));
    }),
    "tcp",
  );
  return { port, hasBegun: () => isMute };
}
