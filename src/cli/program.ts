import { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { type Config, printConfig } from "../config/index.ts";
import { formatListen } from "./banner.ts";
import { addConfigOptions, configOf, snapshotOf } from "./config-options.ts";
import { addOperatorCommands } from "./operator/commands.ts";
import { serve } from "./serve.ts";
import { addStoreCommands, addUpkeepCommands } from "./store/commands.ts";
import { addSumdbCommands } from "./sumdb/commands.ts";

const versionText = `sluice ${manifest.version} (Node.js ${process.versions.node}, ${process.platform} ${process.arch})`;

export function createProgram(): Command {
  const program = new Command("sluice")
    .description(
      "A Go module proxy: fetches modules once, checks them, keeps them, and serves them while upstreams are down.",
    )
    .version(versionText, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneSentence(text)) })
    .addHelpText("after", programHelp);

  addConfigOptions(program.command("serve"))
    .description("Serve modules until SIGTERM or Ctrl-C. Needs no configuration.")
    .addHelpText("after", serveHelp)
    .action(async (_options, command: Command) =>
      serve({
        read: (files) => configOf(command, files),
        snapshot: (files) => snapshotOf(command, files),
      }),
    );

  const config = program.command("config").description("Look at the configuration without serving.");
  addConfigOptions(config.command("check"))
    .description("Check file, environment and flags, and say what is wrong.")
    .option("--connect", "also ask the bucket whether it can be read and written")
    .action(async (options: { readonly connect?: true }, command: Command) => {
      const { config, file } = await configOf(command);
      const from = file === undefined ? "no file, so environment and defaults" : file;
      process.stdout.write(
        `The configuration is fine (${from}). Sluice would listen on ${formatListen(config.server.listen)}.\n`,
      );
      if (options.connect === true) await checkConnections(config);
    });
  addConfigOptions(config.command("print"))
    .description("Print every setting in force as TOML, with where it came from. Secrets are left out.")
    .action(async (_options, command: Command) => {
      process.stdout.write(printConfig(await configOf(command)));
    });

  addStoreCommands(program);
  addOperatorCommands(program);
  addUpkeepCommands(program);
  addSumdbCommands(program);

  program
    .command("version")
    .description("Print the version of Sluice and of the Node.js it runs on.")
    .action(() => {
      process.stdout.write(`${versionText}\n`);
    });
  return program;
}

async function checkConnections(config: Config): Promise<void> {
  // Not at the top: the other commands answer without loading what speaks to buckets.
  const { checkConfiguredBucket } = await import("../compose-store.ts");
  const bucket = await checkConfiguredBucket(config);
  process.stdout.write(bucket === undefined ? "There is no bucket.\n" : `${bucket} can be read and written.\n`);
}

/** Commander writes `error: unknown option '--lisen'` and a suggestion on a second line. */
function oneSentence(text: string): string {
  const [problem = "", suggestion] = text
    .trim()
    .replace(/^error: /, "")
    .split("\n");
  const hint =
    suggestion === undefined
      ? "see sluice --help"
      : suggestion.replace(/^\(Did you mean (.*)\?\)$/s, "did you mean $1?");
  return `sluice: ${problem.replace(/\.$/, "")}; ${hint}\n`;
}

const programHelp = `
Start it, and point go at it:
  $ sluice serve
  $ export GOPROXY=http://127.0.0.1:3000

A setting comes from a flag, else from SLUICE_… in the environment, else from the file, else it is the default.
The upstreams are those of GOPROXY in Sluice's own environment unless you say otherwise. All settings: docs/config.md

Exit codes: 0 done, 1 a bug, 2 something you can put right; then a sentence on stderr says what.`;

const serveHelp = `
Examples:
  $ sluice serve
  $ sluice serve --listen :8080 --data-dir /var/lib/sluice
  $ sluice serve --chain 'https://proxy.example.com|https://mirror.example.com,off' --private 'corp.example.com/*'
  $ SLUICE_CONFIG=/etc/sluice.toml sluice serve

Every other setting is a variable or stands in the file: see docs/config.md, or \`sluice config print\`.
SIGTERM and Ctrl-C finish what is under way first; a second one ends at once.
SIGHUP reads the configuration again; when something is wrong with it, the old one stays and the log says why.`;
