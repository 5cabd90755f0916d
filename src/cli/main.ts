#!/usr/bin/env node
import manifest from "../../package.json" with { type: "json" };
import { explainOldNode } from "./node-version.ts";

// Everything else is imported behind the check, as an old Node may already fail to load it.
const tooOld = explainOldNode(process.versions.node, manifest.engines.node);
if (tooOld === undefined) {
  const { run } = await import("./run.ts");
  await run(process.argv.slice(2));
} else {
  process.stderr.write(`sluice: ${tooOld}\n`);
  process.exitCode = 2;
}
