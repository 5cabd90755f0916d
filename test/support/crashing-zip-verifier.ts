import { parentPort } from "node:worker_threads";
import type { VerifyRequest } from "../../src/storage/zip-verifier-worker.ts";
// oxlint-disable-next-line import/no-unassigned-import -- importing it runs it
import "../../src/storage/zip-verifier-worker.ts";

// The thread of the zip verifier, but it dies of some modules.

parentPort?.on("message", ({ module }: VerifyRequest) => {
  if (module.modulePath === "example.com/exits") process.exit(3);
  if (module.modulePath === "example.com/throws") throw new Error("a bug in the verifier");
});
