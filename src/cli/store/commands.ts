import type { Command } from "commander";
import { addConfigOptions, readConfigOf } from "../config-options.ts";
import type { CopyFlags } from "./copy.ts";
import type { GcFlags } from "./gc.ts";
import type { Outcome } from "./outcome.ts";
import type { ScrubFlags } from "./scrub.ts";

/** `store` and its commands. What they do is loaded when one of them runs. */
export function addStoreCommands(program: Command): void {
  const store = program.command("store").description("Stores of modules: bring them from one place to another.");

  addConfigOptions(store.command("copy <from> <to>"))
    .description("Copy all module versions that <to> does not have, each verified. Nothing is overwritten.")
    .option("--pattern <patterns>", "only modules that these match, as in GOPRIVATE: corp.example/*,golang.org/x")
    .option("--jobs <number>", "versions at the same time", "8")
    .option("--dry-run", "only say what would be copied; broken files are not found then", false)
    .option("--verify-sums", "compare with the checksum database of the configuration before anything is copied", false)
    .option("--endpoint <url>", "of buckets that are not AWS's, such as https://minio.example.com:9000")
    .option("--region <region>", "of buckets (default: AWS_REGION, or what the AWS files say)")
    .option("--path-style <true|false>", "the bucket's name is in the path of URLs (default: true with an endpoint)")
    .addHelpText("after", copyHelp)
    .action(async (from: string, to: string, flags: CopyFlags, command: Command) => {
      const { copyStore } = await import("./copy.ts");
      finish(await copyStore(from, to, readConfigOf(command).config, flags));
    });
}

/** `scrub` and `gc`, for the data folder of the configuration. */
export function addUpkeepCommands(program: Command): void {
  addConfigOptions(program.command("scrub"))
    .description("Read every stored file and compare it with what was recorded of it. Broken ones are set aside.")
    .option("--fix", "fetch broken ones again from the sources; they must be what they were", false)
    .option("--pattern <patterns>", "only modules that these match, as in GOPRIVATE: corp.example/*,golang.org/x")
    .option("--in-bucket", "of the bucket of the configuration, instead of the data folder", false)
    .option("--dry-run", "only say what is broken", false)
    .option("--jobs <number>", "files at the same time", "2")
    .addHelpText("after", scrubHelp)
    .action(async (flags: ScrubFlags, command: Command) => {
      const { scrub } = await import("./scrub.ts");
      finish(await scrub(readConfigOf(command).config, flags));
    });

  addConfigOptions(program.command("gc"))
    .description("Remove stored files that nobody used for long. Only says what would go, until --yes.")
    .option("--max-size <size>", "those unused for longest, until all are within this (default: max_size of [store])")
    .option("--unused-for <duration>", "those that nobody used for so long, such as 180d")
    .option("--quarantine-older-than <duration>", "what was set aside as broken so long ago", "30d")
    .option("--include-private", "also what may not come back: private modules, versions from repositories", false)
    .option("--yes", "do it", false)
    .addHelpText("after", gcHelp)
    .action(async (flags: GcFlags, command: Command) => {
      const { collectGarbage } = await import("./gc.ts");
      process.stdout.write(await collectGarbage(readConfigOf(command).config, flags));
    });
}

function finish({ text, problems }: Outcome): void {
  process.stdout.write(text);
  if (problems.length === 0) return;
  process.stderr.write(problems.map((problem) => `sluice: ${problem}\n`).join(""));
  process.exitCode = 2;
}

const copyHelp = `
<from> is one of these; which one is found out:
  a data folder of Sluice, also of one that runs      /var/lib/sluice
  a module cache                                      $(go env GOMODCACHE)
  a bucket of Sluice                                  s3://modules/prefix
  a store of Athens, on disk, in S3 or in MinIO       /var/lib/athens, s3://athens
<to> is a data folder (made where it is missing), a bucket, or a folder in the layout of a module cache, which
GOPROXY=file://<folder> serves: one that has modules at its top, or whose path ends in cache/download.

A location may say how its bucket is reached: s3://athens?endpoint=https://minio.example.com&region=eu-1&path_style=true
Credentials are found as the AWS tools find them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, a role.
The bucket of the configuration is reached as [bucket] says.

Examples:
  $ sluice store copy "$(go env GOMODCACHE)" /var/lib/sluice
  $ sluice store copy s3://athens /var/lib/sluice --dry-run
  $ sluice store copy /var/lib/sluice s3://modules --endpoint https://minio.example.com:9000

A copy that was interrupted goes on when it is begun again. Exit codes: 0 all of it is there now, 2 something was not copied.`;

const scrubHelp = `
A Sluice may run on the same data folder. It goes on serving, and fetches again what was set aside when somebody asks.
It does the same by itself, slowly, every scrub_interval of [store].

Exit codes: 0 all files are good, 2 some were broken; then stderr has each and what was done.`;

const gcHelp = `
Examples:
  $ sluice gc --unused-for 180d
  $ sluice gc --max-size 50GiB --yes

What is recorded of a file stays when it goes: what comes back must be the same. A file that was used was asked for by a client
or by Sluice itself; zips go by their own use, .info and go.mod by that of the whole version.`;
