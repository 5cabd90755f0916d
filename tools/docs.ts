import { readFileSync, writeFileSync } from "node:fs";
import { configPage } from "./docs/config-page.ts";
import { errorsPage } from "./docs/errors-page.ts";
import { prometheusRules, runbookAlerts } from "./docs/runbook-alerts.ts";

// `node tools/docs.ts` writes the pages that are made from the code; with `--check` it only says which of them are out of date.

const runbook = readOrEmpty(new URL("../docs/runbook.md", import.meta.url));
const pages = {
  "docs/config.md": configPage(),
  "docs/errors.md": errorsPage(),
  "deploy/prometheus-rules.yaml": prometheusRules(runbookAlerts(runbook)),
};
const check = process.argv.includes("--check");

for (const [name, text] of Object.entries(pages)) {
  const file = new URL(`../${name}`, import.meta.url);
  if (!check) writeFileSync(file, text);
  else if (readOrEmpty(file) !== text) {
    process.stderr.write(`${name} is out of date; run npm run docs\n`);
    process.exitCode = 1;
  }
}

function readOrEmpty(file: URL): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
