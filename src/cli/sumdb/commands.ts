import type { Command } from "commander";
import type { Config } from "../../config/index.ts";
import { addConfigOptions, readConfigOf } from "../config-options.ts";

interface InitFlags {
  readonly name?: string;
  readonly out?: string;
}

interface VerifyFlags {
  readonly key?: string;
  readonly state?: string;
  readonly lookups: string;
}

interface ShowFlags {
  readonly url?: string;
  readonly key?: string;
}

/** `sumdb` and its commands. What they do is loaded when one of them runs. */
export function addSumdbCommands(program: Command): void {
  const sumdb = addConfigOptions(program.command("sumdb"))
    .description("Checksum databases: which setup to use, our own log, audits.")
    .addHelpText("after", sumdbHelp)
    .action(async (_flags, command: Command) => {
      const { describeSetups } = await import("./setups.ts");
      print(await describeSetups(configOf(command)));
    });

  addConfigOptions(sumdb.command("init"))
    .description("Make a key for a log of our own, and say what to do with it.")
    .option(
      "--name <name>",
      "what go commands call the log, for ever: a host or host/path (default: this machine's name)",
    )
    .option("--out <file>", "the key file (default: sumdb.key in the data folder)")
    .action(async (flags: InitFlags, command: Command) => {
      const { initSumdb } = await import("./init.ts");
      print(await initSumdb(configOf(command), flags));
    });

  addConfigOptions(sumdb.command("verify <log>"))
    .description(
      "Audit a log from outside: every record, every hash, its history. <log> is an address, a name, or what stands in GOSUMDB.",
    )
    .option(
      "--key <key>",
      "the log's key, as it stands in GOSUMDB (default: the one that the configuration or go knows)",
    )
    .option("--state <file>", "compare with the tree of the last audit in this file, and keep this one's there")
    .option("--lookups <number>", "look up so many records as well, drawn at random; or all", "1000")
    .addHelpText("after", verifyHelp)
    .action(async (log: string, flags: VerifyFlags, command: Command) => {
      const { verifySumdb } = await import("./verify.ts");
      print(await verifySumdb(log, configOf(command), flags));
    });

  addConfigOptions(sumdb.command("show <module@version>"))
    .description("Show the record of a module version, and prove it.")
    .option("--url <log>", "the log's address or name (default: the one that clients of this Sluice ask)")
    .option(
      "--key <key>",
      "the log's key, as it stands in GOSUMDB (default: the one that the configuration or go knows)",
    )
    .action(async (query: string, flags: ShowFlags, command: Command) => {
      const { showSum } = await import("./show.ts");
      print(await showSum(query, configOf(command), flags));
    });

  addConfigOptions(sumdb.command("status"))
    .description("Show what the data folder says: trees, forks, files that no database has confirmed.")
    .action(async (_flags, command: Command) => {
      const { sumdbStatus } = await import("./status.ts");
      print(await sumdbStatus(configOf(command)));
    });

  addConfigOptions(sumdb.command("forget-tree <name>"))
    .description("After a fork that is settled: follow a database anew.")
    .option("--yes", "do it", false)
    .action(async (name: string, flags: { readonly yes: boolean }, command: Command) => {
      const { forgetTree } = await import("./forget-tree.ts");
      print(await forgetTree(name, configOf(command), flags));
    });
}

function configOf(command: Command): Config {
  return readConfigOf(command).config;
}

function print(text: string): void {
  process.stdout.write(text);
}

const sumdbHelp = `
Examples:
  $ sluice sumdb
  $ sluice sumdb init --name sum.corp.example
  $ sluice sumdb verify http://127.0.0.1:3000/sumdb/sum.corp.example --state audit.note
  $ sluice sumdb show corp.example/lib@v1.2.3

All about them: docs/checksum-databases.md`;

const verifyHelp = `
Examples:
  $ sluice sumdb verify "$GOSUMDB"
  $ sluice sumdb verify sum.golang.org --lookups 10000

Exit codes: 0 the log is what it says, 2 it is not, or could not be read; then stderr has both values.`;
