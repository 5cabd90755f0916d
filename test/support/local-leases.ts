import type { Leases } from "../../src/core/fleet.ts";

/** Leases that are shared within one process, for tests of those who use them. */
export function createLocalLeases(): { join(name: string): Leases } {
  /** Of those who work, whether they have done it. */
  const working = new Map<string, Promise<boolean>>();
  return {
    join(name) {
      const closing = new AbortController();
      return {
        name,
        async run(key, { look, work }) {
          for (let other = working.get(key); other !== undefined && !closing.signal.aborted; other = working.get(key)) {
            const found = await look();
            if (found !== undefined) return found;
            if (!(await other)) return work();
          }
          if (closing.signal.aborted) return work();
          const ended = Promise.withResolvers<boolean>();
          working.set(key, ended.promise);
          let isDone = false;
          try {
            const result = (await look()) ?? (await work());
            isDone = true;
            return result;
          } finally {
            working.delete(key);
            ended.resolve(isDone);
          }
        },
        close: async () => closing.abort(),
      };
    },
  };
}
