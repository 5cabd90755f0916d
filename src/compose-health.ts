import type { HealthOf, PartHealth } from "./core/health.ts";
import type { ModuleStore } from "./core/ports.ts";

/** How all parts of this node are: the store, which is asked now, and what the others know of themselves. */
export function composeHealth(
  { store, dataDir }: { readonly store: ModuleStore; readonly dataDir: string },
  others: readonly HealthOf[],
): () => Promise<readonly PartHealth[]> {
  const storeHealth = async (): Promise<PartHealth> => {
    const part = `store ${dataDir}`;
    try {
      await store.check();
      return { part, state: "ok", detail: "can be read and written", isNeeded: true };
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return { part, state: "down", detail, isNeeded: true };
    }
  };
  return async () => [await storeHealth(), ...others.flatMap((healthOf) => healthOf())];
}
