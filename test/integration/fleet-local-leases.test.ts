import { leasesSuite } from "../suites/leases.ts";
import { createLocalLeases } from "../support/local-leases.ts";

leasesSuite("leases within one process", async () => {
  const leases = createLocalLeases();
  return { join: async () => leases.join("member"), remove: async () => undefined };
});
