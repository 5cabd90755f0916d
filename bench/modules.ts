import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { buildModules, incompressible } from "../test/support/fixture-modules.ts";
import { logName } from "./log-files.ts";

/** Paths, below a GOPROXY, of what the load asks for. */
export const hotFiles = {
  info: "example.com/bench/small/@v/v1.0.0.info",
  mod: "example.com/bench/small/@v/v1.0.0.mod",
  list: "example.com/bench/small/@v/list",
  smallZip: "example.com/bench/small/@v/v1.0.0.zip",
  largeZip: "example.com/bench/large/@v/v1.0.0.zip",
  lookup: `sumdb/${logName}/lookup/example.com/bench/small@v1.0.0`,
  tile: `sumdb/${logName}/tile/8/0/000`,
} as const;

/** Writes the modules of the load into a folder in the GOPROXY layout, made so that no network is needed. */
export function writeModules(folder: string): void {
  const requires = Array.from({ length: 25 }, (_, index) => `\tgithub.com/example/module${index} v1.${index}.0\n`);
  const small = {
    path: "example.com/bench/small",
    files: { "doc.go": "package small\n", data: incompressible(18_000) },
    goMod: `module example.com/bench/small\n\ngo 1.21\n\nrequire (\n${requires.join("")})\n`,
  };
  const large = {
    path: "example.com/bench/large",
    version: "v1.0.0",
    files: { "doc.go": "package large\n", data: incompressible(7_000_000) },
    goMod: "module example.com/bench/large\n\ngo 1.21\n",
  };
  const versions = Array.from({ length: 20 }, (_, index) => ({ ...small, version: `v1.${index}.0` }));
  for (const [file, bytes] of buildModules([...versions, large])) {
    const target = path.join(folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, bytes);
  }
}
