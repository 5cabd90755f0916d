import type { Reporter, TestModule } from "vitest/node";

/** Lists skipped tests loudly at the end; under `SLUICE_TEST_REQUIRE=all` a skipped test fails the run. */
export default class SkipReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const skipped = tests.filter((test) => test.result().state === "skipped");
    const failed = tests.filter((test) => test.result().state === "failed").length;
    if (skipped.length > 0) {
      console.log(`\nSKIPPED ${skipped.length} TESTS: this machine lacks what they need`);
      for (const test of skipped) console.log(`  - ${test.module.relativeModuleId} > ${test.fullName}`);
      if (process.env["SLUICE_TEST_REQUIRE"] === "all") {
        console.log("SLUICE_TEST_REQUIRE=all: a skipped test is a failure");
        process.exitCode = 1;
      }
    }
    console.log(`\n${tests.length - failed - skipped.length} passed, ${failed} failed, ${skipped.length} skipped`);
  }
}
