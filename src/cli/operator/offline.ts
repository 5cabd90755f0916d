import { z } from "zod";
import { askSluice, type Place } from "./client.ts";

const outcomeSchema = z.object({ hasChanged: z.boolean() });

/** `sluice offline`: what to print. */
export async function turnOffline(isOffline: boolean, place: Place): Promise<string> {
  const { hasChanged } = outcomeSchema.parse(await askSluice(place, "offline", { offline: isOffline }));
  const state = isOffline ? "offline: it serves what is stored, and asks nobody" : "online: it asks its sources";
  return `Sluice is ${hasChanged ? "now" : "already"} ${state}.\n`;
}
