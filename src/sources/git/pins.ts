import type { ModulePath, Version } from "../../protocol/brand.ts";
import { formatInfo, type ModuleInfo, parseInfo } from "../../protocol/goproxy/index.ts";
import { isSluiceError } from "../../core/errors.ts";
import type { ModuleStore } from "../../core/ports.ts";
import { createHash } from "node:crypto";

/**
 * Which commit a version is, once and for ever. `.info`, `.mod` and `.zip` are fetched one by one, perhaps by several nodes, and
 * must come from one commit though the tag may be moved between them.
 */
export interface Pins {
  /** What was kept, or undefined. */
  find(modulePath: ModulePath, version: Version): Promise<ModuleInfo | undefined>;
  /** Keeps it unless another was kept before; answers what stands. */
  keep(modulePath: ModulePath, info: ModuleInfo, source: string): Promise<ModuleInfo>;
}

/** The stored `.info` is the pin: the store keeps what it was given first. */
export function createStoredPins(store: Pick<ModuleStore, "read" | "keep">): Pins {
  return {
    async find(modulePath, version) {
      const file = await store.read({ kind: "info", modulePath, version });
      if (file === undefined) return undefined;
      const bytes = file.bytes ?? (await readAll(file.stream()));
      return parseInfo(bytes, { kind: "info", modulePath, version });
    },
    async keep(modulePath, info, source) {
      const { version } = info;
      const request = { kind: "info", modulePath, version } as const;
      const bytes = Buffer.from(formatInfo(info));
      const facts = { size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex"), source };
      try {
        const file = await store.keep(request, { bytes }, facts);
        return parseInfo(file.bytes ?? (await readAll(file.stream())), request);
      } catch (error) {
        // A store that cannot write says so itself, and must not cost the client its answer.
        if (isSluiceError(error, "storage_failed")) return info;
        throw error;
      }
    },
  };
}

async function readAll(chunks: AsyncIterable<unknown>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) if (chunk instanceof Uint8Array) parts.push(chunk);
  return Buffer.concat(parts);
}
