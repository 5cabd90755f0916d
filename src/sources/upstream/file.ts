import { constants } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { type ErrorContext, isSluiceError, SluiceError } from "../../core/errors.ts";
import type { Events } from "../../core/events.ts";
import type { Clock, FetchContext, Source, SourceResponse } from "../../core/ports.ts";
import { blobKey, type ModuleRequest } from "../../protocol/goproxy/index.ts";
import { givenUp } from "../../net/given-up.ts";
import { defaultMaxBytes } from "../limits.ts";

export interface FileSourceOptions {
  /** Printable, such as `file:///srv/modules`. */
  readonly name: string;
  /** Absolute. */
  readonly folder: string;
  readonly events: Events;
  readonly clock: Clock;
}

/**
 * A folder laid out as a GOPROXY, such as `$GOMODCACHE/cache/download` (SPEC §7). A file that is not there is `not_found`; a
 * folder that is not there is `upstream_failed`, because a volume that is not mounted says nothing about modules.
 */
export function createFileSource({ name, folder, events, clock }: FileSourceOptions): Source {
  return {
    name,
    async fetch<T>(
      request: ModuleRequest,
      receive: (response: SourceResponse) => Promise<T>,
      context: FetchContext,
    ): Promise<T> {
      const startedAt = clock.now();
      let outcome = "ok";
      let failure: Error | undefined;
      try {
        return await readWith(request, receive, context.signal);
      } catch (error) {
        outcome = isSluiceError(error) ? error.code : "internal";
        failure = error instanceof Error ? error : undefined;
        throw error;
      } finally {
        const durationMs = clock.now() - startedAt;
        const facts = { attempt: 1, outcome, status: undefined, firstByteMs: undefined, durationMs, error: failure };
        events.emit({ type: "upstream_attempt", upstream: name, key: blobKey(request), ...facts });
      }
    },
    async close() {},
  };

  async function readWith<T>(
    request: ModuleRequest,
    receive: (response: SourceResponse) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    if (signal.aborted) throw givenUp(signal, name);
    const handle = await openInside(blobKey(request));
    try {
      const size = await regularSize(handle);
      const limit = defaultMaxBytes[request.kind];
      if (size > limit) throw fail("upstream_invalid", `has ${size} bytes where at most ${limit} can be`);
      return await receive({ source: name, size, body: readBody(handle, size, signal) });
    } finally {
      await handle.close();
    }
  }

  async function openInside(key: string): Promise<FileHandle> {
    try {
      const root = await realpath(folder);
      const file = await realpath(join(folder, key));
      // A link may lead anywhere; what it leads to outside of the folder is nobody's module.
      if (!file.startsWith(root.endsWith(sep) ? root : root + sep)) {
        throw fail("upstream_invalid", `has a link in the place of ${key} that leads out of the folder`);
      }
      // Without O_NONBLOCK, opening a named pipe waits for its writer.
      return await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    } catch (error) {
      if (isSluiceError(error)) throw error;
      const code = systemCode(error);
      if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG") {
        await requireFolder();
        throw fail("not_found", "has no such file", { cause: error });
      }
      throw fail("upstream_failed", `cannot be read: ${code}`, { cause: error });
    }
  }

  async function requireFolder(): Promise<void> {
    try {
      if ((await stat(folder)).isDirectory()) return;
    } catch (error) {
      throw fail("upstream_failed", `cannot be read: ${systemCode(error)}`, { cause: error });
    }
    throw fail("upstream_failed", "is not a folder");
  }

  async function regularSize(handle: FileHandle): Promise<number> {
    const facts = await handle.stat();
    if (!facts.isFile()) throw fail("upstream_invalid", "has something that is not a file in this place");
    return facts.size;
  }

  async function* readBody(handle: FileHandle, size: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let position = 0;
    while (position < size) {
      if (signal.aborted) throw givenUp(signal, name);
      const chunk = Buffer.allocUnsafe(Math.min(size - position, chunkBytes));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, position).catch((error: unknown) => {
        throw fail("upstream_failed", `cannot be read: ${systemCode(error)}`, { cause: error });
      });
      if (bytesRead === 0)
        throw fail("upstream_invalid", `ended after ${position} of ${size} bytes: it was changed while it was read`);
      position += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  }

  function fail(
    code: "not_found" | "upstream_failed" | "upstream_invalid",
    what: string,
    context: ErrorContext = {},
  ): SluiceError {
    return new SluiceError(code, `${name}: ${what}`, { ...context, details: { upstream: name } });
  }
}

const chunkBytes = 256 * 1024;

function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "an unknown error";
}
