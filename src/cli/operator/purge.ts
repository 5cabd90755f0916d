import { z } from "zod";
import { SluiceError } from "../../core/errors.ts";
import { countOf } from "../../sumdb/audit/finding.ts";
import { askSluice, type Place } from "./client.ts";

const outcomeSchema = z.object({ what: z.string(), missing: z.int(), ready: z.int(), records: z.int() });

/** `sluice purge`: what to print. */
export async function purge(
  what: string | undefined,
  { negatives, pattern }: { readonly negatives: boolean; readonly pattern?: string },
  place: Place,
): Promise<string> {
  if ((what === undefined) === (pattern === undefined)) {
    throw new SluiceError(
      "config_invalid",
      what === undefined
        ? "what is to be purged is missing; name a module, such as sluice purge example.com/mod, or --pattern"
        : "a module and --pattern exclude each other; run sluice purge once for each",
    );
  }
  const [module, version] = what?.split("@", 2) ?? [];
  const body = { module, version, pattern, ...(negatives ? { negatives } : {}) };
  const outcome = outcomeSchema.parse(await askSluice(place, "purge", body));
  return `Purged ${outcome.what}: whoever asks next has it asked for anew. ${countOf(outcome.records, "stored answer")} may be old from now on; forgotten ${countOf(outcome.missing, "time")} “not found”.\n`;
}
