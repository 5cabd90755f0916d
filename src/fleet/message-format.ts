import { z } from "zod";
import type { FleetMessage } from "../core/fleet.ts";

/** Of one message, in items. What is longer is told in several. */
const maxItems = 500;
/** Longer than any key that go's own limits allow. */
const key = z.string().min(1).max(2048);

const onlyMissing = z.boolean().optional();

const selectionSchema = z.union([
  z.object({ keys: z.array(key).max(maxItems), onlyMissing }),
  z.object({ module: z.string().min(1).max(2048), onlyMissing }),
  z.object({ pattern: z.string().min(1).max(65_536), onlyMissing }),
]);

const messageSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("purged"), selection: selectionSchema }),
  z.object({ type: z.literal("rejected"), key }),
  z.object({ type: z.literal("kept"), key }),
  z.object({
    type: z.literal("spent"),
    clients: z.array(z.tuple([z.string().min(1).max(256), z.number().positive().max(1e9)])).max(maxItems),
  }),
  z.object({ type: z.literal("offline"), isOffline: z.boolean() }),
]) satisfies z.ZodType<FleetMessage>;

/** What another process sent, as a value; undefined for what is no message, or one of another version of Sluice. */
export function tryParseMessage(value: unknown): FleetMessage | undefined {
  const parsed = messageSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** The same in as many messages as it takes, so that each is of bounded size and is understood. */
export function splitMessage(message: FleetMessage): readonly FleetMessage[] {
  if (message.type === "spent") {
    return chunks(message.clients).map((clients) => ({ type: "spent", clients }));
  }
  if (message.type === "purged" && "keys" in message.selection) {
    const { selection } = message;
    return chunks(selection.keys).map((keys) => ({ type: "purged", selection: { ...selection, keys } }));
  }
  return [message];
}

function chunks<T>(items: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(items.length / maxItems) }, (_, index) =>
    items.slice(index * maxItems, (index + 1) * maxItems),
  );
}
