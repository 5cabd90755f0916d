import type { Config } from "../../config/index.ts";
import { goDefaultSumdb } from "../../config/defaults.ts";
import { clientUrl } from "../local-url.ts";
import { type Databases, databasesOf, privatePatterns } from "./databases.ts";

/** Which checksum database go commands should be told to ask, by the configuration in force, and why; with lines to paste. */
export async function describeSetups(config: Config): Promise<string> {
  const facts = factsOf(config, await databasesOf(config));
  const { own, vouches, patterns } = facts;
  if (own === undefined) return patterns === "" ? onlyPublic(facts) : withoutLog(facts);
  return vouches ? ownForAll({ ...facts, own }) : ownBeside({ ...facts, own });
}

interface Facts {
  /** Of this Sluice. */
  readonly url: string;
  /** What Sluice compares public modules with; undefined when it compares none. */
  readonly database: string | undefined;
  /** The line for go commands that ask the public database, unless it is the one they ask anyway. */
  readonly publicLine: string;
  /** Of private modules, as GONOSUMDB has them; empty when there are none. */
  readonly patterns: string;
  readonly vouches: boolean;
  readonly own: Own | undefined;
}

interface Own {
  readonly name: string;
  readonly verifierKey: string;
}

function factsOf(config: Config, { ownKeys, main }: Databases): Facts {
  // Of several keys, those who come now get the newest.
  const own = ownKeys.at(-1);
  return {
    url: clientUrl(config),
    database: main?.name,
    publicLine: publicLineOf(main),
    patterns: privatePatterns(config),
    vouches: config.sumdb.vouchPublic,
    own: own && { name: own.name, verifierKey: own.verifierKey },
  };
}

function publicLineOf(main: Databases["main"]): string {
  if (main === undefined) return "  export GOSUMDB=off\n";
  return main.name === goDefaultSumdb ? "" : `  export GOSUMDB=${main.verifierKey}\n`;
}

function onlyPublic({ url, database, publicLine }: Facts): string {
  return `Setup 1: ${database === undefined ? "no checksum database at all" : `the public database, ${database}, for everything`}.

Where go runs:

  export GOPROXY=${url}
${publicLine}
Why: no module is private here (\`[[private]]\`, GOPRIVATE). ${database === undefined ? "And sumdb.database is off, so nothing is verified; say which to use." : `Sluice compares what it takes in with ${database} before it keeps\nit, relays that database, and go verifies all of it once more. No log of our own is needed.`}
`;
}

function withoutLog({ url, database, publicLine, patterns }: Facts): string {
  return `Setup 1: the public database for public modules, and nothing for private ones.

Where go runs:

  export GOPROXY=${url}
${publicLine}  export GONOSUMDB=${patterns}

Why: there is no log of our own, and ${database ?? "a public database"} must not hear of private modules. Nobody notices when one of them changes
before it is in a go.sum.

Better, setup 2: a log of our own, by which go verifies all modules, so that nobody sets GONOSUMDB. Make its key with

  $ sluice sumdb init --name sum.corp.example
`;
}

function ownBeside({ url, database, publicLine, patterns, own }: Facts & { readonly own: Own }): string {
  const noSumdb = patterns === "" ? "" : `  export GONOSUMDB=${patterns}\n`;
  return `Setup 1: the public database for public modules; our own log, ${own.name}, for private ones.

Where go runs:

  export GOPROXY=${url}
${publicLine}${noSumdb}
Why: go asks one checksum database, and ${own.name} has private modules only (sumdb.vouch_public is false). So go verifies public
modules by ${database ?? "no database"}, and leaves private ones to Sluice, which compares what it takes in with ${own.name}.

Where all modules are private, or all public ones are in go.sum already, go can verify them itself:

  export GOPROXY=${url}
  export GOSUMDB=${own.verifierKey}

Setup 2: our own log for everything, so that nobody sets GONOSUMDB. Then go trusts our key for public modules, too. For that,
in Sluice's configuration:

  [sumdb]
  vouch_public = true
`;
}

function ownForAll({ url, database, publicLine, patterns, own }: Facts & { readonly own: Own }): string {
  const noSumdb = patterns === "" ? "" : `  export GONOSUMDB=${patterns}\n`;
  return `Setup 2: our own log, ${own.name}, for everything.

Where go runs:

  export GOPROXY=${url}
  export GOSUMDB=${own.verifierKey}

GONOSUMDB, GOPRIVATE and GONOPROXY stay unset. Where go cannot ask Sluice as a proxy, GOSUMDB has its address, too:

  export GOSUMDB="${own.verifierKey} ${url}/sumdb/${own.name}"

Why: go asks one checksum database. ${own.name} has private modules as they were when they were first served, and public ones as
${database ?? "the public database"} has them, proven before they are copied (sumdb.vouch_public is true). So go verifies all of them, toolchains included.
You trust our key for public modules, too. Whether the log keeps to its word, anybody can see:

  $ sluice sumdb verify "${own.verifierKey} ${url}/sumdb/${own.name}"

Setup 1, for those who want the public database's own signature on public modules; private ones are left to Sluice then:

  export GOPROXY=${url}
${publicLine}${noSumdb}`;
}
