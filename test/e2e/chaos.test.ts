import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createModuleWorld, type ModuleWorld } from "../chaos/modules.ts";
import { runSeed } from "../chaos/run-seed.ts";
import { lacks } from "../support/needs.ts";
import { lacksPostgres } from "../support/postgres-server.ts";
import { lacksRedis } from "../support/redis-server.ts";
import { lacksS3Server } from "../support/s3-programs.ts";
import { minio } from "../support/shared-parts.ts";
import { lacksMount } from "../support/small-disk.ts";
import { lacksSteppedClock } from "../support/stepped-clock.ts";

// The short form of `npm run chaos`.

const lacksParts = lacksRedis() || lacksPostgres() || minio === undefined || lacksS3Server(minio);
const isMissing = lacks("go", ["version"]) || lacks("git") || lacksMount() || lacksSteppedClock();

describe.skipIf(isMissing)("a site that faults come over, one after the other", () => {
  let world: ModuleWorld;
  beforeAll(async () => {
    world = await createModuleWorld();
  });
  afterAll(() => world.remove());

  // Such seeds that in their first three faults there are upstreams that lie, a full disk, clocks that step, kills and hangs.
  describe.each([
    { topology: "one", seed: 228, lacksAny: false },
    { topology: "workers", seed: 44, lacksAny: false },
    { topology: "pair", seed: 212, lacksAny: lacksParts },
    { topology: "nginx", seed: 277, lacksAny: lacksParts || lacks("nginx", ["-v"]) },
  ] as const)("$topology", ({ topology, seed, lacksAny }) => {
    test.skipIf(lacksAny)(
      `seed ${seed}: all that can be downloaded is, right and whole, and no private name gets out`,
      { timeout: 300_000 },
      async () => {
        const { problems, faults, duringFaults } = await runSeed({ seed, topology, world, faultCount: 3 });
        expect(problems, faults.join("; ")).toEqual([]);
        expect(faults).toHaveLength(3);
        // Otherwise nobody would have noticed them.
        expect(duringFaults).toBeGreaterThan(10);
      },
    );
  });
});
