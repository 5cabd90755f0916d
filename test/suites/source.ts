import { describe, expect, test } from "vitest";
import { type ErrorCode, SluiceError } from "../../src/core/errors.ts";
import type { Source, SourceResponse } from "../../src/core/ports.ts";
import { type FixtureFiles, fixtureFiles } from "../support/fixture-modules.ts";
import { contextOf, failureOf, readAll, requestOf } from "../support/source-harness.ts";

/** A source that serves exactly the given files. `close` frees what stands behind it, the source itself included. */
export interface OpenedSource extends AsyncDisposable {
  readonly source: Source;
}

const leafMod = "example.com/leaf/@v/v1.2.0.mod";
const bigZip = "example.com/big/@v/v1.0.0.zip";

/** What every implementation of the Source port promises. */
export function describeSource(name: string, open: (files: FixtureFiles) => Promise<OpenedSource>): void {
  describe(`source contract: ${name}`, () => {
    test.each([
      "example.com/leaf/@v/list",
      "example.com/leaf/@latest",
      "example.com/leaf/@v/v1.3.0-rc.1.info",
      leafMod,
      "example.com/leaf/@v/v1.2.0.zip",
      "example.com/pseudo/@v/main.info",
      "example.com/legacy/@v/v3.0.0+incompatible.mod",
      "example.com/versioned/v2/@v/v2.1.0.info",
      "example.com/!upper/!case/@v/v1.1.0-!r!c.1.zip",
      "golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip",
      bigZip,
    ])("delivers %s as it is", async (path) => {
      const files = fixtureFiles();
      await using opened = await open(files);
      const expected = files.get(path);
      const { bytes, response } = await fetchFrom(opened.source, path);
      expect(bytes.equals(expected ?? Buffer.from("missing"))).toBe(true);
      expect(response.size ?? expected?.length).toBe(expected?.length);
      expect(response.source).toBe(opened.source.name);
    });

    test.each([
      ["of the same size", 0],
      ["of another size", 1],
    ])("who has a part of a file %s gets the rest, or all of it", async (_name, difference) => {
      const files = fixtureFiles();
      await using opened = await open(files);
      const expected = Buffer.from(files.get(bigZip) ?? []);
      const size = Math.floor(expected.length / 2);
      const partial = { size, total: expected.length + difference, source: "another", etag: undefined };
      await opened.source.fetch(
        requestOf(bigZip),
        async (response) => {
          const { start = 0 } = response;
          expect(start).toBeLessThanOrEqual(difference === 0 ? size : 0);
          expect((await readAll(response)).equals(expected.subarray(start))).toBe(true);
        },
        { ...contextOf(), partial: () => partial },
      );
    });

    test("an empty list is a list", async () => {
      await using opened = await open(new Map([["example.com/empty/@v/list", new Uint8Array()]]));
      expect((await fetchFrom(opened.source, "example.com/empty/@v/list")).bytes.length).toBe(0);
    });

    test.each([
      "example.com/absent/@v/list",
      "example.com/absent/@latest",
      "example.com/leaf/@v/v1.9.9.info",
      "example.com/leaf/@v/v1.9.9.mod",
      "example.com/leaf/@v/v1.9.9.zip",
      "example.com/leaf/@v/no-such-branch.info",
    ])("%s is not_found, and nothing is received", async (path) => {
      await using opened = await open(fixtureFiles());
      let received = 0;
      const error = await failureOf(opened.source.fetch(requestOf(path), async () => (received += 1), contextOf()));
      expect([error.code, received]).toEqual(["not_found", 0]);
    });

    test("many at a time, each gets its own", async () => {
      const files = fixtureFiles();
      await using opened = await open(files);
      const paths = [...files.keys()].filter((path) => !path.includes("/big/"));
      const answers = await Promise.all(paths.map((path) => fetchFrom(opened.source, path)));
      for (const [index, path] of paths.entries()) {
        expect(answers[index]?.bytes.equals(files.get(path) ?? Buffer.from("missing"))).toBe(true);
      }
    });

    test("gives back what receive made of it", async () => {
      await using opened = await open(fixtureFiles());
      const made = { any: "thing" };
      expect(await opened.source.fetch(requestOf(leafMod), async () => made, contextOf())).toBe(made);
    });

    test("a failure of receive that is not the source's comes out as it is, and is not tried again", async () => {
      await using opened = await open(fixtureFiles());
      const full = new SluiceError("storage_failed", "the disk is full");
      for (const failure of [full, new TypeError("a bug")]) {
        let calls = 0;
        const fetched = opened.source.fetch(
          requestOf(leafMod),
          async () => {
            calls += 1;
            throw failure;
          },
          contextOf(),
        );
        await expect(fetched).rejects.toBe(failure);
        expect(calls).toBe(1);
      }
    });

    test.each<[ErrorCode]>([["upstream_invalid"], ["integrity"]])(
      "when receive finds %s, that is the outcome, and every call got the whole body",
      async (code) => {
        const files = fixtureFiles();
        await using opened = await open(files);
        const bodies: Buffer[] = [];
        const error = await failureOf(
          opened.source.fetch(
            requestOf(leafMod),
            async (response) => {
              bodies.push(await readAll(response));
              throw new SluiceError(code, "not what was asked for");
            },
            contextOf(),
          ),
        );
        expect(error.code).toBe(code);
        expect(error.message).toContain("not what was asked for");
        expect(bodies.length).toBeGreaterThanOrEqual(1);
        expect(bodies.length).toBeLessThanOrEqual(2);
        for (const body of bodies) expect(body.equals(files.get(leafMod) ?? Buffer.from("missing"))).toBe(true);
      },
    );

    test("bodies that receive leaves unread or half-read hold nothing up", async () => {
      const files = fixtureFiles();
      await using opened = await open(files);
      for (let count = 0; count < 100; count += 1) {
        await opened.source.fetch(
          requestOf(bigZip),
          async ({ body }) => {
            if (count % 4 > 0) return;
            for await (const chunk of body) if (chunk.length > 0) break;
          },
          contextOf(),
        );
      }
      const { bytes } = await fetchFrom(opened.source, leafMod);
      expect(bytes.equals(files.get(leafMod) ?? Buffer.from("missing"))).toBe(true);
    });

    test("is cancelled before it began", async () => {
      await using opened = await open(fixtureFiles());
      const error = await failureOf(opened.source.fetch(requestOf(leafMod), readAll, contextOf(AbortSignal.abort())));
      expect(error.code).toBe("cancelled");
    });

    test("is cancelled in the middle of a body", async () => {
      await using opened = await open(fixtureFiles());
      const abort = new AbortController();
      const fetched = opened.source.fetch(
        requestOf(bigZip),
        async ({ body }) => {
          for await (const chunk of body) if (chunk.length > 0) abort.abort();
        },
        contextOf(abort.signal),
      );
      expect((await failureOf(fetched)).code).toBe("cancelled");
    });

    test("the end of the time for one fetch is upstream_timeout", async () => {
      await using opened = await open(fixtureFiles());
      const abort = new AbortController();
      const fetched = opened.source.fetch(
        requestOf(bigZip),
        async ({ body }) => {
          for await (const chunk of body) {
            if (chunk.length > 0) abort.abort(new DOMException("the time is up", "TimeoutError"));
          }
        },
        contextOf(abort.signal),
      );
      expect((await failureOf(fetched)).code).toBe("upstream_timeout");
    });

    test("a file larger than its kind can be is upstream_invalid", async () => {
      const path = "example.com/leaf/@v/v1.2.0.info";
      await using opened = await open(new Map([[path, new Uint8Array(1024 * 1024 + 1)]]));
      const error = await failureOf(fetchFrom(opened.source, path));
      expect(error.code).toBe("upstream_invalid");
    });

    test("can be closed twice", async () => {
      await using opened = await open(fixtureFiles());
      await opened.source.close();
      await opened.source.close();
      expect(opened.source.name).not.toBe("");
    });
  });
}

async function fetchFrom(source: Source, path: string): Promise<{ bytes: Buffer; response: SourceResponse }> {
  const receive = async (response: SourceResponse) => ({ bytes: await readAll(response), response });
  return source.fetch(requestOf(path), receive, contextOf());
}
