import { z } from "zod";
import { SluiceError } from "../../core/errors.ts";
import { askSluice, type Place } from "./client.ts";

const outcomeSchema = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("applied"), needRestart: z.array(z.string()) }),
  z.object({ outcome: z.literal("refused"), reason: z.string() }),
]);

/** `sluice reload`: what to print. Fails with `config_invalid` when it is refused. */
export async function reload(place: Place): Promise<string> {
  const told = outcomeSchema.parse(await askSluice(place, "reload", {}));
  if (told.outcome === "refused") {
    throw new SluiceError(
      "config_invalid",
      `the configuration is refused, and the one before still counts: ${told.reason}`,
    );
  }
  const { needRestart } = told;
  const rest =
    needRestart.length === 0 ? "" : `Changed, but as they were until the next start: ${needRestart.join(", ")}.\n`;
  return `The configuration was read again and counts now.\n${rest}`;
}
