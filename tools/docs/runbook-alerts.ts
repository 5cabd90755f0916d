/** One section of docs/runbook.md. */
export interface RunbookAlert {
  readonly name: string;
  /** In PromQL. */
  readonly expression: string;
  readonly for: string;
  readonly severity: string;
  /** What it means, on one line. */
  readonly meaning: string;
}

const section =
  /^### (?<name>[a-z-]+)\n\n```promql\n(?<expression>[^\n]+)\n```\n\nFor (?<for>\d+[mh]), severity (?<severity>info|warning|critical)\.\n\n\*\*What it means\.\*\* (?<meaning>[^]*?)\n\n\*\*What Sluice did\.\*\* [^]*?\n\n\*\*What to do\.\*\* [^]*$/;

/** Fails with a sentence where a section has not the shape of the others. */
export function runbookAlerts(page: string): RunbookAlert[] {
  const sections = page.split(/^(?=###? )/m).filter((text) => text.startsWith("### "));
  return sections.map((text) => {
    const found = section.exec(text)?.groups;
    const { name, expression, for: time, severity, meaning } = found ?? {};
    if (!name || !expression || !time || !severity || !meaning) {
      throw new Error(
        `docs/runbook.md: the section ${text.slice(0, text.indexOf("\n"))} has not the shape of the others`,
      );
    }
    return { name, expression, for: time, severity, meaning: meaning.replaceAll("\n", " ") };
  });
}

/** Alerting rules for Prometheus. */
export function prometheusRules(alerts: readonly RunbookAlert[]): string {
  const rules = alerts.map(
    ({ name, expression, for: time, severity, meaning }) => `      - alert: ${alertName(name)}
        expr: ${yamlText(expression)}
        for: ${time}
        labels:
          severity: ${severity}
        annotations:
          summary: ${yamlText(meaning)}
          runbook: "docs/runbook.md#${name}"
`,
  );
  return `# Made of docs/runbook.md by \`npm run docs\`.\ngroups:\n  - name: sluice\n    rules:\n${rules.join("")}`;
}

function alertName(name: string): string {
  return `Sluice${name.replaceAll(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())}`;
}

/** Quoted as the formatter has it. */
export function yamlText(text: string): string {
  return text.includes('"') && !text.includes("'") ? `'${text}'` : JSON.stringify(text);
}
