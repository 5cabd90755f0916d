import { Argument, type Command } from "commander";
import { addConfigOptions, readConfigOf } from "../config-options.ts";
import type { Place } from "./client.ts";

interface PlaceFlags {
  readonly url?: string;
}

interface PurgeFlags extends PlaceFlags {
  readonly negatives: boolean;
  readonly pattern?: string;
}

interface DrillFlags extends PlaceFlags {
  readonly seconds: string;
  readonly json: boolean;
}

interface StatusFlags extends PlaceFlags {
  readonly json: boolean;
}

/** Commands that ask a Sluice that runs. What they do is loaded when one of them runs. */
export function addOperatorCommands(program: Command): void {
  addPlaceOptions(program.command("purge [module[@version]]"))
    .description("Have what can change asked for anew: version lists, @latest, branches, and what is not found.")
    .option("--negatives", "only what is remembered as not found", false)
    .option("--pattern <globs>", "all modules that these patterns match, in the grammar of GOPRIVATE")
    .addHelpText("after", purgeHelp)
    .action(async (what: string | undefined, flags: PurgeFlags, command: Command) => {
      const { purge } = await import("./purge.ts");
      process.stdout.write(await purge(what, flags, placeOf(flags, command)));
    });

  addPlaceOptions(program.command("offline"))
    .addArgument(
      new Argument("<state>", "on: serve what is stored, and ask nobody; off: ask again").choices(["on", "off"]),
    )
    .description(
      "Have a Sluice that runs ask nobody, or ask again, and the nodes that are connected to its Redis now. A restart has it as the configuration says, and so has a node that joins later.",
    )
    .action(async (state: "on" | "off", flags: PlaceFlags, command: Command) => {
      const { turnOffline } = await import("./offline.ts");
      process.stdout.write(await turnOffline(state === "on", placeOf(flags, command)));
    });

  addPlaceOptions(program.command("reload"))
    .description("Have a Sluice that runs read its configuration again, as on SIGHUP, and show what came of it.")
    .addHelpText("after", reloadHelp)
    .action(async (flags: PlaceFlags, command: Command) => {
      const { reload } = await import("./reload.ts");
      process.stdout.write(await reload(placeOf(flags, command)));
    });

  addDrillCommand(program);

  addPlaceOptions(program.command("status"))
    .description("Show how a Sluice that runs is, with all its parts.")
    .option("--json", "as the API says it, for machines", false)
    .addHelpText("after", statusHelp)
    .action(async (flags: StatusFlags, command: Command) => {
      const { showStatus } = await import("./status.ts");
      const { text, isReady } = await showStatus(placeOf(flags, command), flags);
      process.stdout.write(text);
      if (!isReady) process.exitCode = 2;
    });
}

function addDrillCommand(program: Command): void {
  addPlaceOptions(program.command("drill <name>"))
    .description(
      "Break one thing of a Sluice in staging for a while, and report what came of it. `list` shows what there is.",
    )
    .option("--seconds <number>", "how long, at most 600", "60")
    .option("--json", "the report as the API says it, for machines", false)
    .addHelpText("after", drillHelp)
    .action(async (name: string, flags: DrillFlags, command: Command) => {
      const { listDrills, runDrill } = await import("./drill.ts");
      const place = placeOf(flags, command);
      if (name === "list") process.stdout.write(await listDrills(place));
      else process.stdout.write(await runDrill({ name, ...flags }, place));
    });
}

function addPlaceOptions(command: Command): Command {
  return addConfigOptions(command).option(
    "--url <address>",
    "where Sluice is, as it stands in GOPROXY (default: this machine, and the port of the configuration)",
  );
}

function placeOf({ url }: PlaceFlags, command: Command): Place {
  return { url, config: readConfigOf(command).config };
}

const purgeHelp = `
Files of a version never change, and are not touched. What is purged is asked for by the next one who wants it; the old answer is
served for as long as no source answers.

Examples:
  $ sluice purge corp.example/lib              its list, @latest, branches, and what of it was not found
  $ sluice purge corp.example/lib@v1.2.3       a version that was not found
  $ sluice purge corp.example/lib@main         a branch
  $ sluice purge --pattern 'corp.example/*'

The token is what [admin] of the configuration says, or SLUICE_ADMIN_TOKEN; else admin.token of the data folder.`;

const reloadHelp = `
Exit codes: 0 it counts, 2 it is refused (the one before still counts) or Sluice could not be asked; then stderr says why.`;

const drillHelp = `
That Sluice must have enabled = true in [drill]. Have clients ask it for modules meanwhile: what they get is in the report, before,
during and after the fault. Ctrl-C ends the fault at once, and so does the end of that Sluice.

Examples:
  $ sluice drill list
  $ sluice drill upstream-down --seconds 120 --url http://staging:3000`;

const statusHelp = `
Exit codes: 0 it serves, 2 it should get no traffic, or could not be asked; then stderr says why.`;
