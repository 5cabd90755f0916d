import { spawnSync } from "node:child_process";

const requireAll = process.env["SLUICE_TEST_REQUIRE"] === "all";

/**
 * Tells whether a program the test wants is on this machine.
 * In CI (`SLUICE_TEST_REQUIRE=all`) a missing one is a failure, elsewhere the test is skipped and listed at the end.
 *
 * @example describe.skipIf(lacks("nginx", ["-v"]))("behind nginx", …)
 */
export function lacks(program: string, args: readonly string[] = ["--version"]): boolean {
  const { error, status } = spawnSync(program, args, { stdio: "ignore" });
  const missing = error !== undefined || status !== 0;
  if (missing && requireAll)
    throw new Error(`SLUICE_TEST_REQUIRE=all, but \`${program} ${args.join(" ")}\` does not run here`);
  return missing;
}
