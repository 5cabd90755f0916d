import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["test/live/**", "node_modules/**", "dist/**"],
    pool: "forks",
    // Most files wait for processes of theirs. By itself vitest would leave a core of two idle.
    maxWorkers: "100%",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    setupFiles: ["test/support/clean-env.ts"],
    reporters: ["default", "./test/support/skip-reporter.ts"],
  },
});
