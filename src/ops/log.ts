import { pino, type Logger } from "pino";
import { build as buildPretty } from "pino-pretty";
import { LineBlock } from "./line-block.ts";

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

/** Request lines are written in blocks of this many bytes, or after `flushEveryMs`, whichever comes first. */
const blockBytes = 32 * 1024;
const flushEveryMs = 250;

/** Structured logs (pino). Nothing in Sluice writes to standard output but this and the start banner. */
export function createLog(options: LogOptions): Log {
  const { level, format, fd = 1 } = options;
  return format === "pretty" || (format === "auto" && process.stdout.isTTY) ? prettyLog(level, fd) : jsonLog(level, fd);
}

function jsonLog(level: LogOptions["level"], fd: number): Log {
  const file = pino.destination({ fd, sync: false, maxWrite: 2 * blockBytes });
  const requests = new LineBlock(blockBytes, (block) => file.write(block));
  const inOrder = {
    write(line: string) {
      requests.flush();
      file.write(line);
    },
  };
  const logger = pino({ level, base: null }, inOrder);
  const flusher = setInterval(() => requests.flush(), flushEveryMs).unref();
  return {
    logger,
    write: (line) => requests.write(line),
    hasInfo: logger.isLevelEnabled("info"),
    close: () => {
      clearInterval(flusher);
      requests.flush();
      file.flushSync();
    },
  };
}

function prettyLog(level: LogOptions["level"], fd: number): Log {
  const file = pino.destination({ fd, sync: true });
  const pretty = buildPretty({
    destination: file,
    translateTime: "SYS:HH:MM:ss.l",
    ignore: "pid,hostname",
    singleLine: true,
    colorize: process.stdout.isTTY,
  });
  const logger = pino({ level, base: null }, pretty);
  return {
    logger,
    write: (line) => void pretty.write(line),
    hasInfo: logger.isLevelEnabled("info"),
    close: () => file.flushSync(),
  };
}
