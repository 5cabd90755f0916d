import { z } from "zod";
import { askSluice, type Place } from "./client.ts";

const outcomeSchema = z.object({ hasChanged: z.boolean(), others: z.enum(["told", "away", "none"]) });

const reaches = {
  told: "The nodes that are connected to its Redis now were told, too. One that starts or connects later is as its configuration says.",
  away: "Its Redis is away, so other nodes were not told: say it to each of them.",
  none: "That is this node only: if there are others, say it to each of them.",
};

/** `sluice offline`: what to print. */
export async function turnOffline(isOffline: boolean, place: Place): Promise<string> {
  const { hasChanged, others } = outcomeSchema.parse(await askSluice(place, "offline", { offline: isOffline }));
  const state = isOffline ? "offline: it serves what is stored, and asks nobody" : "online: it asks its sources";
  return `Sluice is ${hasChanged ? "now" : "already"} ${state}.\n${reaches[others]}\n`;
}
