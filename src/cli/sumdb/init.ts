import { mkdir, open, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Config } from "../../config/index.ts";
import { SluiceError } from "../../core/errors.ts";
import { ProtocolError } from "../../protocol/error.ts";
import { generateKey, parseGosumdb } from "../../protocol/sumdb/index.ts";
import { clientUrl } from "../local-url.ts";
import { type Databases, databasesOf } from "./databases.ts";

export interface InitOptions {
  /** Of the log. Default: that of the keys there are, else this machine's name. */
  readonly name?: string | undefined;
  /** The key file. Default `sumdb.key` in the data folder. */
  readonly out?: string | undefined;
}

/** Makes a key for our own log, and says what to do with it. An existing file is never touched. */
export async function initSumdb(config: Config, options: InitOptions): Promise<string> {
  const databases = await databasesOf(config);
  const name = nameOf(options.name, databases);
  const keys = makeKeys(name);
  const { dataDir } = config.store;
  const file = options.out === undefined ? join(dataDir, "sumdb.key") : resolve(options.out);
  await writeKey(file, keys.signerKey);
  const before = databases.ownKeys.filter((key) => key.name === name);
  const text = before.length === 0 ? firstKey : furtherKey;
  return text({
    name,
    file,
    verifierKey: keys.verifierKey,
    oldFiles: config.sumdb.keyFiles,
    canVouch: databases.main !== undefined,
    url: clientUrl(config),
    store: join(dataDir, "sumdb.db"),
  });
}

interface NewKey {
  readonly name: string;
  readonly file: string;
  readonly verifierKey: string;
  readonly oldFiles: readonly string[];
  readonly canVouch: boolean;
  readonly url: string;
  readonly store: string;
}

function firstKey({ name, file, verifierKey, canVouch, url, store }: NewKey): string {
  return `The key of the log ${name} is in ${file}, for Sluice's user alone.

Sluice's configuration:

  [sumdb]
  key_files = [${JSON.stringify(file)}]
${canVouch ? "  vouch_public = true\n" : ""}
Where go runs, once Sluice has been started with it (\`go env -w\` makes it stay):

  export GOPROXY=${url}
  export GOSUMDB=${verifierKey}

Make copies, in two places:
  ${file}
      now. Who has it can sign in the name of the log; without it nobody can.
  ${store}
      again and again, as it grows. It is the log: go commands that have seen it refuse one that begins anew.

\`sluice sumdb\` says which of two setups this is, and why.
`;
}

function furtherKey({ name, file, verifierKey, oldFiles }: NewKey): string {
  const files = [...oldFiles, file].map((one) => JSON.stringify(one)).join(", ");
  return `A second key of the log ${name} is in ${file}, for Sluice's user alone.

Sluice's configuration, until every go command has the new key:

  [sumdb]
  key_files = [${files}]

Where go runs, once Sluice has been started with both:

  export GOSUMDB=${verifierKey}

Make a copy of the key file now. Changing keys, step by step: docs/checksum-databases.md
`;
}

function nameOf(given: string | undefined, { ownKeys, relayed }: Databases): string {
  const name = given ?? ownKeys[0]?.name ?? machineName();
  if (relayed.some((database) => database.name === name)) {
    throw new SluiceError(
      "config_invalid",
      `--name ${name} is a database of others; choose a name of your own, such as sum.corp.example`,
    );
  }
  const [known] = ownKeys;
  if (known !== undefined && known.name !== name) {
    throw new SluiceError(
      "config_invalid",
      `--name ${name} is another name than that of the keys in force, ${known.name}; a log keeps its name, so leave --name out, or, to begin another log, take those keys out of sumdb.key_files first`,
    );
  }
  return name;
}

function machineName(): string {
  const name = hostname();
  if (name.includes(".")) return name;
  throw new SluiceError(
    "config_invalid",
    "the log needs a name, which it keeps for ever; choose one in a domain of yours, such as --name sum.corp.example",
  );
}

function makeKeys(name: string): { readonly signerKey: string; readonly verifierKey: string } {
  try {
    const keys = generateKey(name);
    parseGosumdb(keys.verifierKey);
    return keys;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new SluiceError(
      "config_invalid",
      `--name ${JSON.stringify(name)} is no name of a checksum database (${error.message}); write a host or host/path, such as sum.corp.example`,
    );
  }
}

async function writeKey(file: string, key: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    const handle = await open(file, "wx", 0o600);
    try {
      await handle.writeFile(`${key}\n`);
      await handle.sync();
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new SluiceError("config_invalid", `the key file ${file} ${problemOf(error)}`, { cause: error });
  }
}

function problemOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EEXIST") return "is there already and is not touched; for a second key choose another file with --out";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    return "cannot be written; run this as Sluice's user, or choose another file with --out";
  }
  return `cannot be written (${error instanceof Error ? error.message : String(error)}); choose another file with --out`;
}
