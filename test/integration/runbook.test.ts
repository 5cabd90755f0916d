import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { drills } from "../../src/ops/drills.ts";
import { healingRules } from "../../src/ops/healing-rules.ts";
import { createMetrics } from "../../src/ops/metrics.ts";
import { prometheusRules, runbookAlerts, yamlText } from "../../tools/docs/runbook-alerts.ts";

const page = readFileSync(new URL("../../docs/runbook.md", import.meta.url), "utf8");
const alerts = runbookAlerts(page);
const { registry } = createMetrics({
  version: "test",
  fetching: () => 0,
  unverified: () => Promise.resolve(0),
  health: () => Promise.resolve([]),
});
const metrics = registry.getMetricsAsArray();

describe("the runbook", () => {
  it("has a section for each rule of healing, whose alert is about that rule", () => {
    for (const { name } of healingRules) {
      expect(alerts.find((alert) => alert.name === name)?.expression).toContain(
        `sluice_incidents_open{rule="${name}"} > 0`,
      );
    }
  });

  it("has rules in its expressions that there are", () => {
    const named = [...page.matchAll(/rule="([^"]+)"/g)].map(([, rule]) => rule);
    const rules = new Set(healingRules.map(({ name }) => name));
    expect(named.filter((rule) => !rules.has(rule ?? ""))).toStrictEqual([]);
  });

  it("names metrics that there are, with labels that they have", () => {
    const named = [...page.matchAll(/\b(sluice_[a-z_]+)(?:\{([^}]*)\})?/g)];
    expect(named.length).toBeGreaterThan(alerts.length);
    for (const [text, name, matchers = ""] of named) {
      const metric = metrics.find((candidate) => candidate.name === name);
      expect(metric, text).toBeDefined();
      const labels = matchers.split(",").map((matcher) => /^\s*(\w+)/.exec(matcher)?.[1] ?? "");
      const known: readonly string[] = metric !== undefined && "labelNames" in metric ? labelsOf(metric) : [];
      for (const label of labels.filter((label) => label !== "")) expect(known, text).toContain(label);
    }
  });

  it("tells which drill shows an alert", () => {
    for (const { name, noticedBy } of drills) {
      const [, section = ""] = page.split(`### ${noticedBy}\n`);
      expect(section.split("\n##")[0]).toContain(`\`sluice drill ${name}\``);
    }
    const known = new Set(["<name>", "list", ...drills.map(({ name }) => name)]);
    const named = [...page.matchAll(/`sluice drill ([^`]+)`/g)].map(([, name]) => name ?? "");
    expect(named.filter((name) => !known.has(name))).toStrictEqual([]);
  });

  it("is what the alerts of Prometheus are made of", () => {
    const rules = prometheusRules(alerts);
    expect(rules.match(/^ {6}- alert: Sluice[A-Za-z]+$/gm)).toHaveLength(alerts.length);
    for (const { name, expression } of alerts) {
      expect(rules).toContain(`        expr: ${yamlText(expression)}\n`);
      expect(rules).toContain(`          runbook: "docs/runbook.md#${name}"\n`);
    }
  });

  it("has sections of one shape only", () => {
    expect(() => runbookAlerts("### some-alert\n\nWords.\n")).toThrow("### some-alert has not the shape");
  });
});

function labelsOf(metric: object): readonly string[] {
  const names: unknown = Reflect.get(metric, "labelNames");
  return Array.isArray(names) ? names.map(String) : [];
}
