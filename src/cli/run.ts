import { CommanderError } from "commander";
import { explainFailure } from "./failure.ts";
import { createProgram } from "./program.ts";

/** Exit codes: 0 done, 1 a bug or something unforeseen, 2 something the caller can put right. */
export async function run(args: readonly string[]): Promise<void> {
  ignoreClosedPipe(process.stdout);
  ignoreClosedPipe(process.stderr);
  try {
    await createProgram().parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed already; it ends with 0 for --help and --version.
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    const { message, exitCode } = explainFailure(error);
    // A server that failed half-way may hold the process; nothing of it is wanted any more.
    process.stderr.write(`sluice: ${exitCode === 2 ? message.replaceAll("\n", "\nsluice: ") : message}\n`, () => {
      process.exit(exitCode);
    });
  }
}

/** Whoever read our output has left (`sluice config print | head -1`). That is no reason to stop, least of all to stop serving. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}
