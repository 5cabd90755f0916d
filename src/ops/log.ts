import { pino, type Logger } from "pino";
import { build as buildPretty } from "pino-pretty";
import { LineBlock } from "./line-block.ts";

export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "silent";
  /** JSON for machines, pretty for people; `auto` is pretty on a terminal. */
  readonly format: "auto" | "json" | "pretty";
  /** A file descriptor; 1 is standard output. */
  readonly fd?: number;
  /** Other processes write to the same place. */
  readonly isShared?: boolean;
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
/** What one write hands to a pipe whole, so that lines of several processes do not mix (PIPE_BUF of Linux; POSIX wants 512). */
const sharedBlockBytes = 4096;
const flushEveryMs = 250;
/** Lines beyond this are dropped while whoever reads the log does not. */
const maxWaitingBytes = 16 * 1024 * 1024;

/** Structured logs (pino). Nothing in Sluice writes to standard output but this and the start banner. */
export function createLog(options: LogOptions): Log {
  const { level, format, fd = 1, isShared = false } = options;
  return format === "pretty" || (format === "auto" && process.stdout.isTTY)
    ? prettyLog(level, fd)
    : jsonLog(level, fd, isShared);
}

function jsonLog(level: LogOptions["level"], fd: number, isShared: boolean): Log {
  const [bytes, maxWrite] = isShared ? [sharedBlockBytes, sharedBlockBytes] : [blockBytes, 2 * blockBytes];
  const file = pino.destination({ fd, sync: false, maxWrite, maxLength: maxWaitingBytes });
  // A log that cannot be written (the disk is full) must not cost an answer: lines are dropped until it can be written again.
  let isBroken = false;
  file.on("error", () => {
    isBroken = true;
  });
  file.on("drain", () => {
    isBroken = false;
  });
  const requests = new LineBlock(bytes, (block) => file.write(block));
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
      // `flushSync` would wait for ever on a full disk.
      if (isBroken) file.destroy();
      else file.flushSync();
    },
  };
}

function prettyLog(level: LogOptions["level"], fd: number): Log {
  const file = pino.destination({ fd, sync: true });
  const pretty = buildPretty({
    destination: file,
    translateTime: "SYS:HH:MM:ss.l",
    hideObject: true,
    messageFormat: readableMessage,
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

/** The line of a person: what a request was and how it went, or the message with its facts. */
export function readableMessage(line: Readonly<Record<string, unknown>>): string {
  const { level: _level, time: _time, msg, ...facts } = line;
  if (msg !== "request")
    return [msg, ...Object.entries(facts).map(([name, value]) => `${name}=${readable(value)}`)].join(" ");
  const { method, path, status, cache, ms, source, client, id, error } = facts;
  const from = source === undefined ? "" : ` from ${readable(source)}`;
  const why = error === undefined ? "" : `\n    ${readable(error).replaceAll("\n", "\n    ")}`;
  return `${readable(status)} ${readable(method)} ${readable(path)} ${readable(cache)} ${readable(ms)} ms${from} for ${readable(client)} (${readable(id)})${why}`;
}

function readable(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
