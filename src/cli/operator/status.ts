import { z } from "zod";
import { readinessOf } from "../../server/readiness.ts";
import { askSluice, type Place } from "./client.ts";

const partSchema = z.object({
  part: z.string(),
  state: z.enum(["ok", "degraded", "down"]),
  detail: z.string(),
  isNeeded: z.boolean(),
});

const incidentSchema = z.object({
  rule: z.string(),
  subject: z.string(),
  seen: z.string(),
  did: z.string(),
  openedAt: z.number(),
  signs: z.int(),
});

const statusSchema = z.object({
  version: z.string(),
  url: z.string(),
  uptimeSeconds: z.number(),
  isOffline: z.boolean(),
  isDraining: z.boolean(),
  chain: z.string(),
  fetching: z.int(),
  parts: z.array(partSchema),
  // An older Sluice has none.
  incidents: z
    .object({
      open: z.array(incidentSchema),
      ended: z.array(incidentSchema.extend({ outcome: z.string(), how: z.string(), durationMs: z.number() })),
    })
    .default({ open: [], ended: [] }),
});

type Status = z.infer<typeof statusSchema>;

/** `sluice status`: what to print, and whether that Sluice should get traffic. */
export async function showStatus(
  place: Place,
  { json }: { readonly json: boolean },
): Promise<{ readonly text: string; readonly isReady: boolean }> {
  const answer = await askSluice(place, "status");
  const status = statusSchema.parse(answer);
  const { isReady } = readinessOf(status.parts, status);
  return { text: json ? `${JSON.stringify(answer, undefined, 2)}\n` : formatStatus(status), isReady };
}

export function formatStatus(status: Status): string {
  const { problem } = readinessOf(status.parts, status);
  const facts = [
    ["state", problem === undefined ? "serving" : `not ready: ${problem}`],
    ["offline", status.isOffline ? "yes: nobody is asked, what is stored is served" : "no"],
    ["up for", formatTime(status.uptimeSeconds)],
    ["chain", status.chain],
    ["fetching", String(status.fetching)],
  ];
  const parts = status.parts.map(({ state, part, detail }) => [state, part, detail]);
  return `Sluice ${status.version} at ${status.url}\n\n${columns(facts)}\n\nParts\n${columns(parts)}\n${formatIncidents(status.incidents)}`;
}

function formatIncidents({ open, ended }: Status["incidents"]): string {
  const now = open.map(({ rule, subject, seen, did, openedAt }) => {
    const what = columns([[rule, new Date(openedAt).toISOString(), `${subject}: ${seen}`]]);
    return `${what}\n      what Sluice does: ${did}\n`;
  });
  const over = ended.map(({ rule, subject, how, outcome, durationMs }) => [
    rule,
    `${outcome} after ${formatTime(durationMs / 1000)}`,
    `${subject}: ${how}`,
  ]);
  return [
    ...(now.length === 0 ? [] : [`\nIncidents that are open (see docs/runbook.md)\n${now.join("")}`]),
    ...(over.length === 0 ? [] : [`\nIncidents that ended, the last first\n${columns(over)}\n`]),
  ].join("");
}

/** The last cell of a row may be of any length. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return rows
    .map((row) => `  ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ")}`.trimEnd())
    .join("\n");
}

/** The two largest units. */
function formatTime(seconds: number): string {
  const units = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ] as const;
  const first = units.findIndex(([amount]) => amount > 0);
  return units
    .slice(first < 0 ? -1 : first)
    .slice(0, 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}
