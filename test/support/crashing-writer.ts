import { parentPort } from "node:worker_threads";
import type { NumberedWrite } from "../../src/storage/sum-store/writer-thread.ts";

// Stands in for the thread that writes a sum store: dies at the first thing it is asked, unless that is to close.

parentPort?.on("message", ({ write }: NumberedWrite) => {
  if (write.kind === "close") parentPort?.close();
  else throw new Error("as if it had run out of memory");
});
