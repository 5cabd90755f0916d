import { isAboutDatabase } from "../core/checksum-mismatch.ts";
import { type ErrorCode, SluiceError } from "../core/errors.ts";
import type { ModuleRequest } from "../protocol/goproxy/index.ts";

/** How one source answered. */
export interface SourceAnswer {
  readonly source: string;
  readonly error: SluiceError;
}

/**
 * go prints at most 8 lines and 648 bytes of an error body, and a longer one with a note that it was cut (SPEC §1.6). Some
 * room stays free for the line that server/ adds.
 */
const maxLines = 5;
const maxBytes = 560;
const maxHeadBytes = 320;
const maxTargetBytes = 180;
const maxNameBytes = 80;
const maxAnswerBytes = 100;

/** Without a git source. */
const gitIsOff =
  "git is switched off here ([git] enabled); the client can use it itself, with `direct` behind Sluice in its GOPROXY";

const nobodyAsked = {
  direct: "not stored here, and there is no upstream to ask",
  off: "not stored here, and asking upstreams is switched off",
};

/** What a client or an operator can do, by the code of the failure that decides. */
const advice: Partial<Record<ErrorCode, string>> = {
  upstream_failed: "Ask again later. A `|` behind it in the chain lets the next one answer when it fails.",
  upstream_timeout: "Ask again later. A `|` behind it in the chain lets the next one answer when it fails.",
  upstream_refused:
    "Check Sluice's credentials for it; if this is its way to say `does not exist`, set not_found_status.",
  upstream_invalid: "Check that its address is a GOPROXY and that no login page or filter stands before it.",
  integrity: "Nothing of it was kept. If it stays so, this source's copy is damaged or was changed.",
  overloaded: "Too many fetches are waiting for it. Ask again later.",
};

/** Every source that was asked said so. `end` is the word at which the chain ended, if it ended at one. */
export function notFound(
  request: ModuleRequest,
  answers: readonly SourceAnswer[],
  end: "direct" | "off" | undefined,
): SluiceError {
  const lines = answers.map(answerLine);
  const last = end === "direct" ? `  'direct' is in the chain, but ${gitIsOff}` : undefined;
  const head = answers.length > 0 ? "no source in the chain has it" : nobodyAsked[end ?? "off"];
  const reason = answers.map(({ error }) => error.details["reason"]).find((text) => text !== undefined);
  return new SluiceError("not_found", clip([`not found: ${describe(request)}: ${head}`, ...lines], last), {
    cause: answers.at(-1)?.error,
    details: { asked: answers.length, ...(reason === undefined ? {} : { reason }) },
  });
}

/** What the module's own repository said, which is go's last word too; before it, what others answered. */
export function directAnswer(
  request: ModuleRequest,
  error: SluiceError,
  others: readonly SourceAnswer[] = [],
): SluiceError {
  const said = error.message.replace(/^not found: /, "");
  const named = said.includes(request.modulePath) ? said : `${describe(request)}: ${said}`;
  const head = error.code === "not_found" ? `not found: ${named}` : named;
  const lines = isAboutDatabase(error) ? error.message.split("\n") : [head];
  return new SluiceError(error.code, clip([...lines, ...others.map(answerLine)]), {
    cause: error,
    details: { ...error.details, asked: others.length + 1 },
    retryAfterSeconds: error.retryAfterSeconds,
  });
}

/** The module's name must not leave, so nobody was asked. */
export function notFoundPrivate(request: ModuleRequest): SluiceError {
  const lines = [
    `not found: ${describe(request)}: not stored here, and no upstream was asked, as the module is private`,
    `  It matches GONOPROXY or GOPRIVATE of this Sluice, and ${gitIsOff}`,
  ];
  return new SluiceError("not_found", clip(lines), { details: { asked: 0, private: true } });
}

/** `failure` decides the code; the answers of the other sources are named too. */
export function failed(request: ModuleRequest, failure: SluiceError, answers: readonly SourceAnswer[]): SluiceError {
  const others = answers.filter(({ error }) => error !== failure);
  const isExplained = isAboutDatabase(failure);
  const lines = isExplained ? failure.message.split("\n") : [`${describe(request)}: ${failure.message}`];
  const last = isExplained ? undefined : advice[failure.code];
  return new SluiceError(failure.code, clip([...lines, ...others.map(answerLine)], last), {
    cause: failure,
    details: { ...failure.details, asked: answers.length },
    retryAfterSeconds: failure.retryAfterSeconds,
  });
}

/** `example.com/m@v1.0.0`, or `example.com/m` for its list. */
function describe(request: ModuleRequest): string {
  if (request.kind === "list") return clipText(request.modulePath, maxTargetBytes);
  const suffix = request.kind === "latest" ? "latest" : request.kind === "query" ? request.query : request.version;
  return clipText(`${request.modulePath}@${suffix}`, maxTargetBytes);
}

function answerLine({ source, error: { message } }: SourceAnswer): string {
  const answer = message.startsWith(`${source}: `) ? message.slice(source.length + 2) : message;
  return `  ${clipText(source, maxNameBytes)}: ${clipText(answer, maxAnswerBytes)}`;
}

/** Keeps the head, as many lines as there is room for, and `last`. All are printable; the lines behind the head are clipped already. */
function clip([head = "", ...lines]: readonly string[], last?: string): string {
  const room = maxBytes - (last === undefined ? 0 : last.length + 1) - "\n  and 99 more".length;
  const kept = [clipText(head, maxHeadBytes)];
  for (const line of lines) {
    if (kept.length === maxLines || [...kept, line].join("\n").length > room) break;
    kept.push(line);
  }
  const left = lines.length + 1 - kept.length;
  if (left > 0) kept.push(`  and ${left} more`);
  if (last !== undefined) kept.push(last);
  return kept.join("\n");
}

/** One line of printable ASCII: a body with anything unprintable in it go does not show at all. */
function clipText(text: string, limit: number): string {
  const printable = text.replace(/[^\x20-\x7e]+/g, " ");
  return printable.length <= limit ? printable : `${printable.slice(0, limit - 3)}...`;
}
