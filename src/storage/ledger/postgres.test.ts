import { afterAll, beforeAll, describe } from "vitest";
import {
  databaseAt,
  lacksPostgres,
  type PostgresServer,
  startPostgresServer,
} from "../../../test/support/postgres-server.ts";
import { ledgerSuite } from "../../../test/suites/ledger.ts";
import { systemClock } from "../../core/clock.ts";
import { PostgresLedger } from "./postgres.ts";

describe.skipIf(lacksPostgres())("with a PostgreSQL server", () => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgresServer();
  });

  afterAll(() => server.stop());

  ledgerSuite("PostgreSQL", async () => {
    const url = await server.createDatabase();
    const openAgain = async () => {
      const { database, events } = databaseAt(url);
      await database.open();
      return new PostgresLedger({ database, events, clock: systemClock });
    };
    return { ledger: await openAgain(), openAgain, remove: () => Promise.resolve() };
  });
});
