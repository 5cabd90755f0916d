import { z } from "zod";
import { sleepUnlessAborted, systemClock } from "../../core/clock.ts";
import { SluiceError } from "../../core/errors.ts";
import { askSluice, type Place } from "./client.ts";

const counts = z.record(z.string(), z.number());

const reportSchema = z.object({
  drill: z.string(),
  what: z.string(),
  startedAt: z.number(),
  faultMs: z.number(),
  endedBy: z.string(),
  requests: z.object({ before: counts, during: counts, after: counts }),
  incidents: z.array(
    z.object({
      rule: z.string(),
      subject: z.string(),
      seen: z.string(),
      openedAt: z.number(),
      outcome: z.string().optional(),
      durationMs: z.number().optional(),
    }),
  ),
  parts: z.array(z.object({ part: z.string(), state: z.string(), detail: z.string() })),
  recoveryMs: z.number().optional(),
  problem: z.string().optional(),
});

const statusSchema = z.object({
  isEnabled: z.boolean(),
  drills: z.array(z.object({ name: z.string(), what: z.string() })),
  running: z.object({ drill: z.string(), phase: z.string() }).optional(),
  report: reportSchema.optional(),
});

export type Report = z.infer<typeof reportSchema>;

const pollMs = 500;

/** `sluice drill list`: what to print. */
export async function listDrills(place: Place): Promise<string> {
  const { drills, isEnabled, running } = await ask(place);
  const width = Math.max(...drills.map(({ name }) => name.length));
  const lines = drills.map(({ name, what }) => `  ${name.padEnd(width)}  ${what}`);
  const state = !isEnabled
    ? "Drills are off at this Sluice: set enabled = true in [drill], in staging."
    : running === undefined
      ? "None runs."
      : `${running.drill} runs (${running.phase}).`;
  return `${lines.join("\n")}\n\n${state}\n`;
}

/** `sluice drill <name>`: starts it, waits for its end, and answers what to print. Ctrl-C ends the fault. */
export async function runDrill(
  { name, seconds, json }: { readonly name: string; readonly seconds: string; readonly json: boolean },
  place: Place,
): Promise<string> {
  if (!/^\d+$/.test(seconds)) {
    throw new SluiceError("config_invalid", `--seconds ${JSON.stringify(seconds)} is no number; write 60, at most 600`);
  }
  await askSluice(place, "drill", { name, seconds: Number(seconds) });
  const end = (): void => void askSluice(place, "drill", "DELETE").catch(() => undefined);
  process.once("SIGINT", end);
  try {
    const report = await reportOf(place);
    return json ? `${JSON.stringify(report, undefined, 2)}\n` : formatReport(report);
  } finally {
    process.off("SIGINT", end);
  }
}

async function reportOf(place: Place): Promise<Report> {
  const never = new AbortController().signal;
  for (;;) {
    const { running, report } = await ask(place);
    if (running === undefined && report !== undefined) return report;
    if (running === undefined)
      throw new SluiceError("internal", "the drill ended without a report; see that Sluice's log");
    await sleepUnlessAborted(systemClock, pollMs, never);
  }
}

async function ask(place: Place): Promise<z.infer<typeof statusSchema>> {
  return statusSchema.parse(await askSluice(place, "drill"));
}

export function formatReport(report: Report): string {
  const { requests, incidents, parts, recoveryMs, problem } = report;
  const noticed = [
    ...incidents.map(({ rule, subject, seen, openedAt, outcome, durationMs }) => {
      const after = seconds(openedAt - report.startedAt);
      const end = durationMs === undefined ? "is open" : `${outcome} after ${seconds(durationMs)}`;
      return `  after ${after}: incident ${rule} of ${subject}: ${seen}; ${end}`;
    }),
    ...parts.map(({ part, state, detail }) => `  ${part} was ${state}: ${detail}`),
  ];
  return `Drill ${report.drill}: ${report.what}, for ${seconds(report.faultMs)} (ended by ${report.endedBy})

Requests answered
  before  ${formatCounts(requests.before)}
  during  ${formatCounts(requests.during)}
  after   ${formatCounts(requests.after)}

Noticed
${noticed.length === 0 ? "  nothing: nobody used that part, or it has none of it" : noticed.join("\n")}

${problem === undefined ? "" : `The drill could not do what it should: ${problem}\n`}${
    recoveryMs === undefined
      ? "Not recovered while it was watched; see sluice status."
      : `Recovered ${seconds(recoveryMs)} after the end of the fault.`
  }
`;
}

function formatCounts(counted: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counted)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([outcome, count]) => `${count} × ${outcome}`);
  return parts.length === 0 ? "none" : parts.join(", ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
