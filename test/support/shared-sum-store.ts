import { systemClock } from "../../src/core/clock.ts";
import type { SumStore } from "../../src/core/ports.ts";
import { Secret } from "../../src/core/secret.ts";
import { PostgresDatabase } from "../../src/storage/postgres/database.ts";
import { PostgresLogs } from "../../src/storage/sum-store/postgres-logs.ts";
import { SharedSumStore } from "../../src/storage/sum-store/shared.ts";

/** A node's own store with the log that nodes share in the database of this URL. Closing it closes both. */
export async function shareSumStore(local: SumStore, url: string, timeoutMs = 10_000): Promise<SumStore> {
  const database = new PostgresDatabase({
    name: "postgres://127.0.0.1/sluice",
    url: new Secret(url),
    authorities: [],
    connections: 4,
    timeoutMs,
    clock: systemClock,
    events: { emit: () => undefined },
  });
  await database.open();
  const store = new SharedSumStore({ local, logs: new PostgresLogs(database) });
  const closeStore = store.close.bind(store);
  return Object.assign(store, {
    close: async () => {
      await closeStore();
      await database.close();
    },
  });
}
