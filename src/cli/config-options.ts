import { readFileSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { Option, type Command } from "commander";
import type { ConfigSnapshot } from "../cluster/control.ts";
import { loadConfig, refuseLoop, type LoadedConfig } from "../config/index.ts";
import { sections, type Setting } from "../config/settings.ts";

const flagSettings = sections.flatMap(({ settings }) => settings).filter(({ flag }) => flag !== undefined);

/** `--config` and the settings that are flags too. */
export function addConfigOptions(command: Command): Command {
  command.addOption(new Option("--config <file>", "TOML file with settings (env: SLUICE_CONFIG)"));
  for (const setting of flagSettings) command.addOption(flagOption(setting));
  return command;
}

/**
 * The checked configuration that a command line, its environment and its file make together, for a Sluice that serves. `files`
 * takes the text of all files that were looked at.
 */
export async function configOf(command: Command, files?: Map<string, string | undefined>): Promise<LoadedConfig> {
  const loaded = readConfigOf(command, files);
  await refuseLoop(loaded, { addresses: ownAddresses(), lookup: resolveName });
  return loaded;
}

/** What the configuration was made of, for another process of the same Sluice. */
export function snapshotOf(command: Command, files: ReadonlyMap<string, string | undefined>): ConfigSnapshot {
  return {
    ...givenOn(command),
    cwd: process.cwd(),
    files: [...files].map(([path, text]) => [path, text ?? null]),
  };
}

/** The same for a command that asks no upstream, such as one in the shell where GOPROXY is Sluice already. */
export function readConfigOf(command: Command, files?: Map<string, string | undefined>): LoadedConfig {
  return loadConfig({
    ...givenOn(command),
    env: process.env,
    cwd: process.cwd(),
    readFile: (path) => {
      files?.set(path, undefined);
      const text = readFileSync(path, "utf8");
      files?.set(path, text);
      return text;
    },
  });
}

function givenOn(command: Command): { readonly configFile?: string; readonly flags: Record<string, string> } {
  // Options that stand before the name of a command belong to the one above it.
  const values: Readonly<Record<string, unknown>> = command.optsWithGlobals();
  const flags: Record<string, string> = {};
  for (const setting of flagSettings) {
    const value = values[flagOption(setting).attributeName()];
    if (setting.flag !== undefined && typeof value === "string") flags[setting.flag] = value;
  }
  const file = values["config"];
  return { flags, ...(typeof file === "string" ? { configFile: file } : {}) };
}

function flagOption({ flag, kind, placeholder, doc, default: preset, defaultDoc, envNames }: Setting): Option {
  const [summary = ""] = doc.split(/(?<=[.])\s/);
  const value =
    preset === undefined ? defaultDoc : typeof preset === "object" || preset === "" ? "none" : String(preset);
  const text = `${summary.replace(/\.$/, "")} (default: ${value}, env: ${envNames[0]})`;
  const shown = placeholder ?? placeholders[kind];
  // `--offline` alone says it all.
  const option = kind === "boolean" ? `--${flag} [${shown}]` : `--${flag} <${shown}>`;
  return new Option(option, text.replaceAll("`", "")).preset(kind === "boolean" ? "true" : undefined);
}

const placeholders: Readonly<Record<Setting["kind"], string>> = {
  text: "text",
  choice: "word",
  boolean: "true|false",
  integer: "number",
  duration: "duration",
  size: "size",
  path: "path",
  list: "a,b,…",
  paths: "files",
  table: "toml",
  tables: "toml",
};

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}

async function resolveName(hostname: string): Promise<string[]> {
  try {
    const found = await lookup(hostname, { all: true });
    return found.map(({ address }) => address);
  } catch {
    // A name without address leads nowhere, so not back to us. Whoever asks that upstream says what is wrong with it.
    return [];
  }
}
