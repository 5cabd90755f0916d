import { mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { parseModulePath, parseVersion } from "../../src/protocol/module/index.ts";
import { parseSignerKey } from "../../src/protocol/sumdb/index.ts";
import { parseH1 } from "../../src/protocol/zip/index.ts";
import { openThreadedSumStore } from "../../src/storage/sum-store/threaded.ts";
import { createOwnLog } from "../../src/sumdb/log/own-log.ts";
import { sumLogSigner } from "../../test/support/sum-log.ts";

/**
 * `node append.ts FOLDER SECONDS ASKERS`: so many askers look up one new version after the other in a log of our own, on the disk
 * of the folder. Prints how many records were appended per second.
 */
const [parent = "", seconds = "", askers = ""] = process.argv.slice(2);
const folder = mkdtempSync(path.join(parent, "append-"));
const name = "sums.bench.example";
const store = await openThreadedSumStore({ file: path.join(folder, "sumdb.db"), clock: systemClock });
const hashes = {
  mod: parseH1("h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA="),
  zip: parseH1("h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4="),
};
const log = createOwnLog({
  name,
  signers: [parseSignerKey(sumLogSigner(name))],
  store,
  readFiles: async () => hashes,
  isPrivate: () => true,
  events: { emit: () => undefined },
});

let count = 0;
const begin = performance.now();
const end = begin + Number(seconds) * 1000;
await Promise.all(Array.from({ length: Number(askers) }, ask));
console.log(count / ((performance.now() - begin) / 1000));
await log.close();
await store.close();
rmSync(folder, { recursive: true });

async function ask(_: unknown, asker: number): Promise<void> {
  const modulePath = parseModulePath(`git.bench.example/team/module${asker}`);
  const context = { signal: new AbortController().signal, client: `asker ${asker}` };
  for (let patch = 0; performance.now() < end; patch += 1) {
    await log.lookup(modulePath, parseVersion(`v1.0.${patch}`), context);
    count += 1;
  }
}
