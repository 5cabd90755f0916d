import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { isSluiceError } from "../../src/core/errors.ts";
import { asker, moduleVersion, openFollowedLog } from "./open-log.ts";

// A process that follows a log and looks records up as it is told: a line of numbers on stdin, a line of JSON on stdout.

/** A line: the texts of the records, or the code of the error. */
export type ReadRecords = { readonly texts: readonly string[]; readonly size: number } | { readonly error: string };

async function read(): Promise<void> {
  const { values } = parseArgs({
    options: {
      folder: { type: "string", default: "" },
      name: { type: "string", default: "" },
      key: { type: "string", default: "" },
      url: { type: "string", default: "" },
    },
  });
  const database = { name: values.name, verifierKey: values.key, url: values.url };
  const followed = await openFollowedLog(database, { folder: values.folder });
  const { log } = followed;
  for await (const numbers of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(numbers))}\n`);
  }
  await followed.close();

  async function answer(numbers: string): Promise<ReadRecords> {
    try {
      const versions = numbers.split(" ").map((id) => moduleVersion(`example.com/filler/m${id}`, "v1.0.0"));
      const records = await Promise.all(versions.map((version) => log.lookup(...version, asker())));
      const { size } = await log.tree(asker(), { maxAgeMs: Number.POSITIVE_INFINITY });
      return { texts: records.map(({ text }) => text), size };
    } catch (error) {
      return { error: isSluiceError(error) ? error.code : String(error) };
    }
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await read();
