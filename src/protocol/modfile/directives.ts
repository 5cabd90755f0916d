import { fields } from "../go-text.ts";
import { goQuote } from "../quote.ts";
import { readDeprecation, readDirectiveComment } from "./comments.ts";
import type { MutableModFile } from "./mod-file.ts";
import { checkRequirement, malformed, readAnyVersion, readPath } from "./operands.ts";
import type { Unreadable } from "./operands.ts";
import { readReplacement } from "./replace.ts";
import type { Block, Line } from "./syntax.ts";

const laxVerbs: ReadonlySet<string> = new Set(["go", "module", "require", "retract", "ignore"]);

const goVersion = /^[1-9][0-9]*\.(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))?(?:[a-z]+[0-9]+)?$/;
const laxGoVersion = /^v?([1-9][0-9]*\.(?:0|[1-9][0-9]*))[^0-9]/;
const toolchain = /^default$|^go1(?:$|\.)/;

/** Adds what a line says to the file. Throws a ProtocolError, without a position, when go would report the line. */
export function addDirective(file: MutableModFile, line: Line, block: Block | undefined, lax: boolean): void {
  const [verb, ...args] = block === undefined ? line.tokens : [...block.tokens, ...line.tokens];
  if (verb === undefined || (lax && !laxVerbs.has(verb))) return;
  switch (verb) {
    case "module":
      return addModule(file, args, readDeprecation(line, block));
    case "go":
      return addGo(file, args, lax);
    case "toolchain":
      return addToolchain(file, args);
    case "require":
      file.requires.push({ ...checkRequirement(verb, args), indirect: isIndirect(line) });
      return;
    case "exclude":
      file.excludes.push(checkRequirement(verb, args));
      return;
    case "replace":
      file.replaces.push(readReplacement(args));
      return;
    case "retract":
      return addRetract(file, args, readDirectiveComment(line, block), lax);
    case "tool":
      file.tools.push(readOnlyPath(verb, args));
      return;
    case "ignore":
      file.ignores.push(readOnlyPath(verb, args));
      return;
    case "godebug":
      return addGodebug(file, args);
    default:
      throw malformed(`unknown directive: ${verb}`);
  }
}

function addModule(file: MutableModFile, args: readonly string[], deprecated: string): void {
  if (file.moduleSeen === true) throw malformed("repeated module statement");
  file.moduleSeen = true;
  const [path] = args;
  if (path === undefined || args.length > 1) throw malformed("usage: module module/path");
  file.module = readPath(path);
  if (deprecated !== "") file.deprecated = deprecated;
}

function addGo(file: MutableModFile, args: readonly string[], lax: boolean): void {
  if (file.go !== undefined) throw malformed("repeated go statement");
  const [version] = args;
  if (version === undefined || args.length > 1) throw malformed("go directive expects exactly one argument");
  const accepted = goVersion.test(version) ? version : lax ? laxGoVersion.exec(version)?.[1] : undefined;
  if (accepted === undefined) throw malformed(`invalid go version '${version}': must match format 1.23.0`);
  file.go = accepted;
}

function addToolchain(file: MutableModFile, args: readonly string[]): void {
  if (file.toolchain !== undefined) throw malformed("repeated toolchain statement");
  const [name] = args;
  if (name === undefined || args.length > 1) throw malformed("toolchain directive expects exactly one argument");
  if (!toolchain.test(name)) {
    throw malformed(`invalid toolchain version '${name}': must match format go1.23.0 or default`);
  }
  file.toolchain = name;
}

/** Forms of intervals that are not known yet are passed over in lax mode, and so is what follows a known one. */
function addRetract(file: MutableModFile, args: readonly string[], rationale: string, lax: boolean): void {
  const interval = readInterval(args);
  if ("problem" in interval) {
    if (!lax) throw malformed(interval.problem);
    return;
  }
  const [unexpected] = interval.rest;
  if (unexpected !== undefined && !lax) throw malformed(`unexpected token after version: ${goQuote(unexpected)}`);
  file.retracts.push({ low: interval.low, high: interval.high, rationale });
}

type Interval = { readonly low: string; readonly high: string; readonly rest: readonly string[] } | Unreadable;

function readInterval(args: readonly string[]): Interval {
  const [first] = args;
  if (first === undefined || first === "(") return { problem: "expected '[' or version" };
  if (first !== "[") {
    const version = readAnyVersion("retract", first);
    return typeof version === "string" ? { low: version, high: version, rest: args.slice(1) } : version;
  }
  const [, lowToken, comma, highToken, bracket] = args;
  if (lowToken === undefined) return { problem: "expected version after '['" };
  const low = readAnyVersion("retract", lowToken);
  if (typeof low !== "string") return low;
  if (comma !== ",") return { problem: "expected ',' after version" };
  if (highToken === undefined) return { problem: "expected version after ','" };
  const high = readAnyVersion("retract", highToken);
  if (typeof high !== "string") return high;
  if (bracket !== "]") return { problem: "expected ']' after version" };
  return { low, high, rest: args.slice(5) };
}

function addGodebug(file: MutableModFile, args: readonly string[]): void {
  const [setting] = args;
  const equals = setting?.indexOf("=") ?? -1;
  if (setting === undefined || args.length > 1 || equals < 0 || /["`',]/.test(setting)) {
    throw malformed("usage: godebug key=value");
  }
  file.godebugs.push({ key: setting.slice(0, equals), value: setting.slice(equals + 1) });
}

function readOnlyPath(verb: string, args: readonly string[]): string {
  const [path] = args;
  if (path === undefined || args.length > 1) throw malformed(`${verb} directive expects exactly one argument`);
  return readPath(path);
}

function isIndirect(line: Line): boolean {
  const [comment] = line.suffix;
  if (comment === undefined) return false;
  const words = fields(comment.slice("//".length));
  return words.length === 1 ? words[0] === "indirect" : words[0] === "indirect;";
}
