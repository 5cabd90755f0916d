import { openSumStore } from "../../compose-tools.ts";
import type { Config } from "../../config/index.ts";
import { SluiceError } from "../../core/errors.ts";
import { countOf } from "../../sumdb/audit/finding.ts";

/** Makes Sluice follow a database anew, from whatever it shows next. The forks it has shown stay on record as settled. */
export async function forgetTree(
  database: string,
  config: Config,
  { yes }: { readonly yes: boolean },
): Promise<string> {
  const store = await openSumStore(config, { readOnly: !yes });
  try {
    const followed = (await store?.overview())?.followed ?? [];
    const known = followed.find((one) => one.database === database);
    if (store === undefined || known === undefined) throw notFollowed(database, config, followed);
    const forks = await store.forks(database);
    if (!yes) throw notSure(database, known.size, forks.length);
    await store.forgetTree(database);
    return `The tree of ${database}, ${countOf(known.size, "record")}, is forgotten. Sluice follows it anew from what it shows next.
Restart Sluice when there is time: what it holds of the old history in memory goes only then.
`;
  } finally {
    await store?.close();
  }
}

function notFollowed(
  database: string,
  { store: { dataDir } }: Config,
  followed: readonly { readonly database: string }[],
): SluiceError {
  const names = followed.map((one) => one.database);
  return new SluiceError(
    "config_invalid",
    `no tree of ${database} is kept in ${dataDir}; ${names.length === 0 ? "none of any database is" : `there are trees of ${names.join(", ")}`}`,
  );
}

function notSure(database: string, size: number, forks: number): SluiceError {
  const histories =
    forks === 0 ? "It has shown no fork." : "It has shown two histories: `sluice sumdb status` has both.";
  return new SluiceError(
    "config_invalid",
    `this forgets the tree of ${database}, ${countOf(size, "record")}, so that it may show any other one. ${histories}\nIf you have found out which history holds, say so: sluice sumdb forget-tree ${database} --yes`,
  );
}
