import { z } from "zod";

// What the primary process and its children tell each other, beside the messages of src/fleet.

const snapshotSchema = z.object({
  configFile: z.string().optional(),
  flags: z.record(z.string(), z.string()),
  cwd: z.string(),
  files: z.array(z.tuple([z.string(), z.string().nullable()])),
});

/** A configuration as it was read, with the text of the files, so that a child which starts later reads the same one. */
export type ConfigSnapshot = z.infer<typeof snapshotSchema>;

/** Of one process, as prom-client gives it. */
const metricsSchema = z.array(z.looseObject({}));
export type ProcessMetrics = z.infer<typeof metricsSchema>;

/** What becomes of the processes; events of the same form. */
const processNewsSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("process_lost"),
    role: z.enum(["engine", "front"]),
    process: z.string(),
    pid: z.number(),
    how: z.string(),
    at: z.number(),
    restartMs: z.number(),
  }),
  z.object({ type: z.literal("process_back"), process: z.string(), pid: z.number() }),
]);
export type ProcessNews = z.infer<typeof processNewsSchema>;

export const toChildSchema = z.discriminatedUnion("sluice", [
  z.object({
    sluice: z.literal("start"),
    role: z.enum(["engine", "front"]),
    /** The one that the primary was started with, for what only a restart changes. */
    started: snapshotSchema,
    current: snapshotSchema,
    /** Of the engine. */
    socketPath: z.string(),
    /** What an operator has said to the engine before this one. */
    isOffline: z.boolean().optional(),
    fronts: z.number(),
  }),
  z.object({ sluice: z.literal("reload"), current: snapshotSchema, wantedBy: z.number().optional() }),
  /** What the operator wrote cannot be used: to be told in the log. */
  z.object({ sluice: z.literal("refused"), reason: z.string(), wantedBy: z.number().optional() }),
  z.object({ sluice: z.literal("url"), url: z.string() }),
  z.object({ sluice: z.literal("stop"), limitMs: z.number(), lingerMs: z.number() }),
  /** For the engine's incidents; the primary has told it to people. */
  z.object({ sluice: z.literal("process"), news: processNewsSchema }),
  z.object({ sluice: z.literal("ping") }),
  z.object({ sluice: z.literal("tell_metrics"), id: z.number() }),
  z.object({ sluice: z.literal("other_metrics"), id: z.number(), all: z.array(metricsSchema) }),
]);
export type ToChild = z.infer<typeof toChildSchema>;

export const fromChildSchema = z.discriminatedUnion("sluice", [
  z.object({ sluice: z.literal("ready"), port: z.number() }),
  z.object({ sluice: z.literal("failed"), message: z.string(), exitCode: z.number() }),
  z.object({ sluice: z.literal("reloaded"), outcome: z.enum(["applied", "refused"]) }),
  /** The engine was turned. */
  z.object({ sluice: z.literal("offline"), isOffline: z.boolean() }),
  /** Somebody sent it a SIGTERM. */
  z.object({ sluice: z.literal("stop_wanted") }),
  z.object({ sluice: z.literal("pong") }),
  z.object({ sluice: z.literal("metrics"), id: z.number(), metrics: metricsSchema }),
  z.object({ sluice: z.literal("want_metrics"), id: z.number() }),
  /** An operator wants the configuration read again. What comes of it is the order with this ID. */
  z.object({ sluice: z.literal("want_reload"), id: z.number() }),
]);
export type FromChild = z.infer<typeof fromChildSchema>;
