import path from "node:path";
import type { Config } from "./config/index.ts";
import type { Events } from "./core/events.ts";
import type { Clock, FetchContext, ModuleStore, StoredFile, ZipVerifier } from "./core/ports.ts";
import type { FileRequest } from "./protocol/goproxy/index.ts";
import { parseChain } from "./sources/chain-spec.ts";
import { createPrivateRules } from "./sources/private.ts";
import { type Collector, type CollectorOptions, startCollector } from "./storage/gc/collector.ts";
import { type KnownVersion, whyIrreplaceable } from "./storage/gc/replaceable.ts";
import { openLocalStore } from "./storage/local-store.ts";
import { createHeal } from "./storage/scrub/heal.ts";
import { type Scrubber, startScrubber } from "./storage/scrub/scrubber.ts";

interface UpkeepParts {
  readonly dataDir: string;
  /** What is served from the data folder. */
  readonly store: Pick<ModuleStore, "peek"> & Pick<CollectorOptions, "onScarce">;
  readonly verifier: ZipVerifier;
  readonly events: Events;
  readonly clock: Clock;
}

/** Of the resolver. */
export type EnsureStored = (request: FileRequest, context: FetchContext) => Promise<StoredFile>;

/** Whose turn it takes in fair queues. */
const client = "scrub";

/** The one place that works on the files of this process's data folder in the background. Another configuration takes over when the work of the one before has ended. */
export class UpkeepSeat {
  readonly #parts: UpkeepParts;
  #taken: Promise<() => Promise<void>> = Promise.resolve(() => Promise.resolve());

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /** Answers how to end it. */
  take(config: Config, ensureStored: EnsureStored): () => Promise<void> {
    const taken = this.#taken.then(async (endBefore) => {
      await endBefore();
      return startUpkeep(config, { ...this.#parts, ensureStored });
    });
    this.#taken = taken;
    return async () => (await taken)();
  }
}

async function startUpkeep(
  config: Config,
  parts: UpkeepParts & { readonly ensureStored: EnsureStored },
): Promise<() => Promise<void>> {
  const { scrubIntervalMs, scrubRateBytes, maxSizeBytes } = config.store;
  if (scrubIntervalMs === 0 && maxSizeBytes === 0) return () => Promise.resolve();
  const { dataDir, verifier, events, clock, store, ensureStored } = parts;
  try {
    const local = await openLocalStore(dataDir, { events, clock });
    const running: (Scrubber | Collector)[] = [];
    if (scrubIntervalMs > 0) {
      const heal = createHeal({
        store: local,
        peek: (key) => store.peek(key),
        fetch: (request, signal) => ensureStored(request, { signal, client }),
      });
      const stateFile = path.join(dataDir, "scrub.json");
      const pace = { intervalMs: scrubIntervalMs, bytesPerSecond: scrubRateBytes };
      running.push(startScrubber({ store: local, verifier, clock, events, stateFile, heal, ...pace }));
    }
    if (maxSizeBytes > 0) {
      const whyKept = composeWhyKept(config);
      const { onScarce } = store;
      running.push(startCollector({ store: local, clock, events, maxBytes: maxSizeBytes, whyKept, onScarce }));
    }
    let ending: Promise<void> | undefined;
    return () => (ending ??= Promise.all(running.map((one) => one.close())).then(() => local.close()));
  } catch (cause) {
    // Clients are served all the same.
    const error = cause instanceof Error ? cause : new Error(String(cause));
    events.emit({ type: "store_failed", store: dataDir, operation: "open for upkeep", error });
    return () => Promise.resolve();
  }
}

/** Why a stored version must not be removed, by what the configuration says is private, and where it can come from again. */
export function composeWhyKept({
  upstream,
  privateModules,
  sumdb,
}: Config): (version: KnownVersion) => string | undefined {
  const patterns = [upstream.private, privateModules.patterns, sumdb.noVerify].filter((list) => list !== "");
  const rules = createPrivateRules(patterns.join(","));
  const hasUpstream = parseChain(upstream.chain).some(({ kind }) => kind === "http" || kind === "file");
  const isPrivate = rules.matches.bind(rules);
  return (version) => whyIrreplaceable(version, { isPrivate, hasUpstream });
}
