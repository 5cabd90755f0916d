#!/usr/bin/env node
// An old Node cannot even read the TypeScript beside it, so what says so is plain JavaScript.
import { existsSync, readFileSync } from "fs";

const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const needed = parseInt(/\d+/.exec(manifest.engines.node)[0], 10);

if (parseInt(process.versions.node, 10) < needed) {
  console.error(
    `sluice: this is Node.js ${process.versions.node}, and Sluice needs ${needed} or newer; in a checkout, \`npm ci && npm start\` brings its own`,
  );
  process.exitCode = 2;
} else {
  // A checkout runs its sources, so that an old build beside them is never what starts. The published package has only the build.
  const sources = new URL("../src/cli/main.ts", import.meta.url);
  await import(existsSync(sources) ? sources.href : new URL("../dist/src/cli/main.js", import.meta.url).href);
}
