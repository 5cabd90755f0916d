import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { isSluiceError } from "../../src/core/errors.ts";
import { systemClock } from "../../src/core/clock.ts";
import { openThreadedSumStore } from "../../src/storage/sum-store/threaded.ts";
import { shareSumStore } from "./shared-sum-store.ts";
import { hashesOf, lookupOf, moduleOf, openTestLog } from "./own-log.ts";

// A process that serves a log of our own and looks versions up in it, one line on stdout for each answer. Tests run several, or
// kill it.

/** A line: what a lookup answered, with the tree that came with it. */
export interface LoggedLookup {
  /** Of the module: see `moduleOf`. */
  readonly n: number;
  readonly id: number;
  readonly text: string;
  readonly size: number;
  /** Hex. */
  readonly hash: string;
}

const together = 48;

async function write(): Promise<void> {
  const { values } = parseArgs({
    options: {
      file: { type: "string", default: "" },
      writer: { type: "string", default: "writer" },
      first: { type: "string", default: "0" },
      last: { type: "string", default: "1000000" },
      database: { type: "string" },
    },
  });
  process.stdout.write("starting\n");
  const local = await openThreadedSumStore({ file: values.file, clock: systemClock });
  const store = values.database === undefined ? local : await shareSumStore(local, values.database);
  const { log } = await openTestLog({
    store,
    // Each writer would like another hash: whoever is first decides.
    readFiles: async (modulePath, version) => hashesOf(modulePath, version, values.writer),
  });
  let next = Number(values.first);
  async function lookUp(): Promise<void> {
    for (let n = next++; n <= Number(values.last); n = next++) {
      const { modulePath, version } = moduleOf(n);
      const context = { signal: new AbortController().signal, client: values.writer };
      const { id, text, tree } = lookupOf(await untilStored(() => log.lookup(modulePath, version, context)));
      const line: LoggedLookup = { n, id, text, size: tree.size, hash: Buffer.from(tree.hash).toString("hex") };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    }
  }
  await Promise.all(Array.from({ length: together }, lookUp));
  await log.close();
  await store.close();
}

/** Asks again while the store cannot be used, as clients do. */
async function untilStored<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isSluiceError(error, "storage_failed")) throw error;
      await systemClock.sleep(50);
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await write();
