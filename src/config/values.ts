import { isIP, isIPv6 } from "node:net";
import { z } from "zod";
import { tryParseDuration, tryParseSize } from "./units.ts";

/**
 * The kinds of value a setting can have. Each is a schema from what stands in the file, environment or flag to what the
 * program works with. A message is the end of a sentence that begins with the setting and its value, and says what to write.
 */

/** Where the server listens. */
export interface ListenAddress {
  /** A name or an address without brackets; `""` is every address of the machine. */
  readonly host: string;
  /** 0 is any free port. */
  readonly port: number;
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

// A Node timer holds at most 2^31 - 1 milliseconds and fires at once beyond that.
const maxDurationMs = 24 * 86_400_000;

export function text({ missing }: { readonly missing?: string } = {}) {
  return z.string({ error: ({ input }) => (input === undefined ? missing : "is not text; write it in quotes") });
}

export function choice<const Options extends readonly [string, ...string[]]>(options: Options) {
  return z.enum(options, { error: () => `is not one of its values; write ${oneOf(options)}` });
}

export function flag() {
  return z.boolean({ error: "is not a yes or no; write true or false" });
}

export function integer({ min = 0, max = Number.MAX_SAFE_INTEGER }: Bounds = {}) {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  const error = `is not a whole number ${range}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** Milliseconds in the program, `"60s"` outside. */
export function duration({ min = 0, max = maxDurationMs }: { readonly min?: number; readonly max?: number } = {}) {
  return z.string({ error: durationHint }).transform((value, context) => {
    const ms = tryParseDuration(value);
    if (ms === undefined) return fail(context, durationHint);
    if (ms > max) return fail(context, "is longer than the 24 days a timer can wait");
    if (ms < min) return fail(context, `is too short; write at least "${min}ms"`);
    return ms;
  });
}

/** Bytes in the program, `"256MiB"` outside. */
export function size({ min = 0 }: { readonly min?: number } = {}) {
  return z.string({ error: sizeHint }).transform((value, context) => {
    const bytes = tryParseSize(value);
    if (bytes === undefined) return fail(context, sizeHint);
    return bytes < min ? fail(context, `is too small; write at least "${min}B"`) : bytes;
  });
}

/** A program and its arguments. */
export function words() {
  const error = 'is not a list; write ["program", "argument"]';
  return z.tuple([text().min(1, { error: "is empty; write the name of a program" })], text(), { error });
}

export function listenAddress() {
  return text().transform((value, context): ListenAddress => {
    const [, bracketed, plain, digits = ""] = /^(?:\[([^\]]*)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(value) ?? [];
    const port = digits === "" ? Number.NaN : Number(digits);
    const badHost =
      bracketed === undefined ? /^[\d.]+$/.test(plain ?? "") && isIP(plain ?? "") === 0 : !isIPv6(bracketed);
    if (!(port <= 65_535) || badHost) {
      return fail(
        context,
        "is not an address to listen on; write host:port, such as 127.0.0.1:3000, [::1]:3000 or :3000",
      );
    }
    return { host: bracketed ?? plain ?? "", port };
  });
}

/** `""`, or `/go` without a slash at the end. */
export function basePath() {
  return text().transform((value, context) => {
    const path = value.replace(/\/+$/, "");
    if (path === "" || /^(\/(?!\.\.?(\/|$))[\w.~-]+)+$/.test(path)) return path;
    return fail(
      context,
      "is not a base path; write it like /go: a slash first, then letters, digits and . _ ~ - between slashes",
    );
  });
}

export function addressRanges() {
  return z.array(
    text().refine(isAddressRange, {
      error: "is not an address or range; write an IP or CIDR, such as 10.0.0.0/8 or ::1",
    }),
    { error: 'is not a list; write ["10.0.0.0/8"]' },
  );
}

/** A path as written; the loader makes it absolute. */
export function path() {
  return optionalPath().min(1, { error: "is empty; write the path of a file or folder" });
}

/** The same, or `""` for none. */
export function optionalPath() {
  return text().refine((value) => !value.startsWith("~"), {
    error: "begins with ~, which only a shell knows; write the whole path",
  });
}

/** A path below the URL of an upstream, or `""` for none. */
export function urlPath() {
  return text().refine((value) => !/[\s?#]|:\/\//.test(value), {
    error: "is not a path below the upstream's URL; write it like healthz, or leave it empty for none",
  });
}

/** Paths as written; the loader makes them absolute. */
export function paths() {
  return z.array(path(), { error: 'is not a list; write ["/etc/sluice/sumdb.key"]' });
}

/** In the grammar of GOSUMDB, which the loader checks. */
export function databases() {
  return z.array(text(), { error: 'is not a list; write ["sum.example.com+hash+key"]' });
}

/** Statuses of an upstream that mean "does not exist". */
export function clientErrors() {
  const error = "is not a status from 400 to 499";
  return z.array(z.int({ error }).min(400, { error }).max(499, { error }), { error: "is not a list; write [403]" });
}

const durationHint = 'is not a duration; write a number with a unit, such as "250ms", "60s", "10m" or "24h"';
const sizeHint = 'is not a size; write a number with a unit, such as "512KiB", "256MiB" or "1GiB"';

function isAddressRange(value: string): boolean {
  const [, address = "", prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(value) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(prefix ?? 0) <= (family === 4 ? 32 : 128);
}

function oneOf(options: readonly string[]): string {
  return `${options.slice(0, -1).join(", ")} or ${options.at(-1)}`;
}

function fail(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: "custom", message });
  return z.NEVER;
}
