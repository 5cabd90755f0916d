import { pino, type Logger } from "pino";
import { build as buildPretty } from "pino-pretty";

export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** JSON for machines, pretty for people; `auto` is pretty on a terminal. */
  readonly format: "auto" | "json" | "pretty";
  /** A file descriptor; 1 is standard output. */
  readonly fd?: number;
}

export interface Log {
  readonly logger: Logger;
  /** Takes one finished JSON line with its newline; for the request log, which is too frequent for an object each. */
  write(line: string): void;
  /** Whether lines of level info are written at all. */
  readonly hasInfo: boolean;
  close(): void;
}

/** Lines are written in blocks of this many bytes, or after `flushEveryMs`, whichever comes first. */
const blockBytes = 16 * 1024;
const flushEveryMs = 250;

/** Structured logs (pino). Nothing in Sluice writes to standard output but this and the start banner. */
export function createLog({ level, format, fd = 1 }: LogOptions): Log {
  const isPretty = format === "pretty" || (format === "auto" && process.stdout.isTTY);
  const file = pino.destination({ fd, sync: isPretty, minLength: isPretty ? 0 : blockBytes, maxWrite: 4 * blockBytes });
  const sink = isPretty
    ? buildPretty({
        destination: file,
        translateTime: "SYS:HH:MM:ss.l",
        ignore: "pid,hostname",
        singleLine: true,
        colorize: process.stdout.isTTY,
      })
    : file;
  const logger = pino({ level, base: null }, sink);
  const flusher = isPretty ? undefined : setInterval(() => file.flush(), flushEveryMs).unref();
  return {
    logger,
    write: (line) => void sink.write(line),
    hasInfo: logger.isLevelEnabled("info"),
    close: () => {
      clearInterval(flusher);
      file.flushSync();
    },
  };
}
