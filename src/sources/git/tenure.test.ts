import { expect, test } from "vitest";
import type { ModuleRequest } from "../../protocol/goproxy/index.ts";
import { parseRequest } from "../../protocol/goproxy/index.ts";
import type { Source, SourceResponse } from "../../core/ports.ts";
import { GitTenure } from "./tenure.ts";

const request = parseRequest("/example.com/leaf/@v/list");
const context = { signal: new AbortController().signal, client: "192.0.2.1" };
const nameOf = async ({ source }: SourceResponse): Promise<string> => source;

interface Scripted extends Source {
  isClosed: boolean;
}

function answering(name: string, until: Promise<unknown> = Promise.resolve()): Scripted {
  return {
    name,
    isClosed: false,
    async fetch<T>(_request: ModuleRequest, receive: (response: SourceResponse) => Promise<T>) {
      await until;
      return receive({ source: name, size: undefined, body: (async function* () {})() });
    },
    async close() {
      this.isClosed = true;
    },
  };
}

test("the next one comes when the last fetch has ended, and answers who still asks the one before", async () => {
  const gate = Promise.withResolvers<void>();
  const old = answering("old", gate.promise);
  const before = new GitTenure("direct", Promise.resolve(old));
  const opened = Promise.withResolvers<Source>();
  const after = new GitTenure("direct", opened.promise);
  const underWay = before.fetch(request, nameOf, context);
  const free = before.handOver(after).then(() => opened.resolve(answering("new")));
  const late = before.fetch(request, nameOf, context);
  expect(old.isClosed).toBe(false);
  gate.resolve();
  await free;
  expect(old.isClosed).toBe(true);
  expect([await underWay, await late]).toStrictEqual(["old", "new"]);
});

test("who waits for it may give up, and learns why it did not come", async () => {
  const before = new GitTenure("direct", new Promise<Source>(() => undefined));
  const gone = new AbortController();
  const waiting = before.fetch(request, nameOf, { ...context, signal: gone.signal });
  gone.abort(new Error("the client went away"));
  await expect(waiting).rejects.toThrow("the client went away");

  const broken = new GitTenure("direct", Promise.reject(new Error("no git here")));
  await expect(broken.fetch(request, nameOf, context)).rejects.toThrow("no git here");
  await expect(broken.close()).resolves.toBeUndefined();
});
