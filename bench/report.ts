import type { Aim, Contestant, Measurement, Unit } from "./measurement.ts";
import { summarize } from "./statistics.ts";

const scalar = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
const units: Readonly<Record<Unit, { readonly format: (value: number) => string; readonly suffix: string }>> = {
  "requests/s": {
    format: (value) => (value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : value.toFixed(0)),
    suffix: " /s",
  },
  "records/s": { format: (value) => value.toFixed(0), suffix: " /s" },
  "bytes/s": { format: (value) => (value / 1e6).toFixed(0), suffix: " MB/s" },
  bytes: { format: (value) => (value / 2 ** 20).toFixed(0), suffix: " MiB" },
  count: { format: (value) => value.toFixed(0), suffix: "" },
  ms: { format: scalar, suffix: " ms" },
  s: { format: scalar, suffix: " s" },
  "CPU s": { format: scalar, suffix: " s" },
  "×": { format: scalar, suffix: " ×" },
};
const order: readonly Contestant[] = ["sluice", "nginx", "goproxy", "direct", "unverified"];

/** Everything of a run that is worth keeping. */
export interface Report {
  readonly date: string;
  readonly machine: readonly string[];
  /** Why a peer is not there, and other things the reader must know. */
  readonly remarks: readonly string[];
  readonly measurements: readonly Measurement[];
}

/** The median of each, its spread in brackets, and what Sluice reaches of the aim. */
export function formatMarkdown({ machine, remarks, measurements }: Report): string {
  const contestants = order.filter((name) => measurements.some(({ samples }) => samples.has(name)));
  const rows = measurements.map((measurement) => [
    measurement.title,
    ...contestants.map((name) => formatSamples(measurement.samples.get(name), measurement.unit)),
    measurement.aims
      .map((aim) => formatAim(aim, measurement))
      .filter((text) => text !== "")
      .join("; "),
  ]);
  return [
    ...machine.map((line) => `- ${line}`),
    ...remarks.map((line) => `- ${line}`),
    "",
    ...table([["work", ...contestants, "against the aim"], ...rows]),
    "",
  ].join("\n");
}

/** As `formatMarkdown`, for programs. */
export function formatJson(report: Report): string {
  const measurements = report.measurements.map((measurement) => ({
    ...measurement,
    samples: Object.fromEntries(measurement.samples),
    medians: Object.fromEntries([...measurement.samples].map(([name, all]) => [name, summarize(all).median])),
  }));
  return `${JSON.stringify({ ...report, measurements }, undefined, 2)}\n`;
}

function formatSamples(samples: readonly number[] | undefined, unit: Unit): string {
  if (samples === undefined) return "–";
  const { median, min, max } = summarize(samples);
  const { format, suffix } = units[unit];
  const spread = min === max ? "" : ` (${format(min)}–${format(max)})`;
  return `${format(median)}${spread}${suffix}`;
}

function formatAim(aim: Aim, { samples }: Measurement): string {
  const own = samples.get("sluice");
  const other = aim.of === undefined ? [1] : samples.get(aim.of);
  // Without its peer on this machine, an aim is neither met nor missed.
  if (own === undefined || other === undefined) return "";
  const sign = aim.is === "at least" ? "≥" : "≤";
  const goal = aim.of === undefined ? `${sign} ${aim.factor}` : `${sign} ${aim.factor} × ${aim.of}`;
  const ratio = summarize(own).median / summarize(other).median;
  const met = aim.is === "at least" ? ratio >= aim.factor : ratio <= aim.factor;
  return `${met ? "✓" : "**✗**"} ${ratio.toFixed(2)} (aim ${goal})`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const [head = [], ...body] = rows;
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...body.map(line)];
}
