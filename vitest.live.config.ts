import { defineConfig } from "vitest/config";

/** Real modules from the machine's own GOPROXY chain: no `clean-env.ts` here, as what the machine says about Go is the point. */
export default defineConfig({
  test: {
    include: ["test/live/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 60_000,
    reporters: ["verbose", "./test/support/skip-reporter.ts"],
  },
});
