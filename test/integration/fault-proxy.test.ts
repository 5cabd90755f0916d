import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { listen } from "../support/loopback.ts";

const sent = Buffer.alloc(300_000, "sluice ");
let link: FaultProxy;

/** Behind the link somebody answers each byte with `sent`, and keeps the connection open until asked to end. */
beforeEach(async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("data", () => socket.write(sent)).on("end", () => socket.end());
  });
  const { port } = await listen(server, "tcp");
  link = await startFaultProxy(port);
  onTestFinished(() => link.close());
});

function open(): Socket {
  const socket = createConnection(link.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  return socket;
}

function askOnce(socket = open()): Promise<Buffer> {
  socket.end("?");
  return buffer(socket);
}

test("a good link passes everything on, and the end, too", async () => {
  expect((await askOnce()).equals(sent)).toBe(true);
});

test.each([
  { kind: "latency", ms: 1 },
  { kind: "bandwidth", bytesPerSecond: 50_000_000 },
] as const)("$kind changes no byte", async (fault) => {
  await link.setFault(fault);
  expect((await askOnce()).equals(sent)).toBe(true);
});

test("a blackhole takes connections and holds everything back until it is over", async () => {
  await link.setFault({ kind: "blackhole" });
  const socket = open();
  await once(socket, "connect");
  const answer = askOnce(socket);
  const other = open();
  await once(other, "connect");
  expect(socket.bytesRead).toBe(0);
  await link.setFault(undefined);
  expect((await answer).equals(sent)).toBe(true);
});

test("refuse ends the connections there are and takes no more, until it is over", async () => {
  const old = open();
  await once(old, "connect");
  old.write("?");
  await once(old, "data");
  const ended = once(old, "close");
  old.resume();
  await link.setFault({ kind: "refuse" });
  await ended;
  await expect(askOnce()).rejects.toThrow("ECONNREFUSED");
  await link.setFault(undefined);
  expect((await askOnce()).equals(sent)).toBe(true);
});

test("reset ends connections with an error", async () => {
  await link.setFault({ kind: "reset" });
  await expect(askOnce()).rejects.toThrow("ECONNRESET");
  const old = open();
  await link.setFault(undefined);
  old.write("?");
  await once(old, "data");
  const ended = once(old, "error");
  old.resume();
  await link.setFault({ kind: "reset" });
  expect(String(await ended)).toContain("ECONNRESET");
});

test("cut ends the answer behind so many bytes", async () => {
  await link.setFault({ kind: "cut", afterBytes: 70_001 });
  expect((await askOnce()).equals(sent.subarray(0, 70_001))).toBe(true);
});

test("flip changes one bit in so many bytes, of answers only", async () => {
  await link.setFault({ kind: "flip", everyBytes: 100_000 });
  const got = await askOnce();
  const wrong = [...got.keys()].filter((at) => got[at] !== sent[at]);
  expect(wrong).toEqual([99_999, 199_999, 299_999]);
  for (const at of wrong) expect((got[at] ?? 0) ^ (sent[at] ?? 0)).toBe(0x10);
});
