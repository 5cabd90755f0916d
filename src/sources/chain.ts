import { isChecksumMismatch } from "../core/checksum-mismatch.ts";
import { type ErrorCode, isSluiceError, type SluiceError } from "../core/errors.ts";
import { systemClock } from "../core/clock.ts";
import type { Clock, FetchContext, Source, SourceResponse } from "../core/ports.ts";
import { parseFrom, readBody } from "../core/body.ts";
import { maxListBytes } from "../core/latest.ts";
import { blobKey, type ModuleRequest, parseList } from "../protocol/goproxy/index.ts";
import { type ChainEntry, type EndEntry, formatChain } from "./chain-spec.ts";
import { type EqualHedge, fetchFromEquals } from "./equals.ts";
import { type ChainGroup, createGroupOrder, type Link, type Place } from "./group-order.ts";
import type { PrivateRules } from "./private.ts";
import { directAnswer, failed, notFound, notFoundPrivate, type SourceAnswer } from "./report.ts";

export interface ChainOptions {
  /** From `parseChain`. */
  readonly entries: readonly ChainEntry[];
  /** What they match is not asked of any entry. */
  readonly privateRules: PrivateRules;
  /** Modules from their repositories: for `direct`, and for what private rules match. Without it both end in `not_found`. */
  readonly direct?: Source;
  /** Makes the source of an entry. Called once for each, at once. The chain closes them. */
  readonly open: (entry: Exclude<ChainEntry, EndEntry>) => Source;
  /** Default: none. */
  readonly groups?: readonly ChainGroup[] | undefined;
  /** Told when a member of a group was late and another one was asked as well. */
  readonly onHedge?: ((hedge: EqualHedge) => void) | undefined;
  /** Default: the machine's own. */
  readonly clock?: Pick<Clock, "now"> | undefined;
}

/** What a source may answer. Anything else (a full disk here, a bug, the end of the request) is no reason to ask the next one. */
const sourceCodes = [
  "not_found",
  "upstream_failed",
  "upstream_timeout",
  "upstream_refused",
  "upstream_invalid",
  "integrity",
  "loop",
  "overloaded",
] as const satisfies readonly ErrorCode[];

/** Of these it may be told in a hurry what waiting would have spared. */
const outageCodes = ["upstream_failed", "upstream_timeout", "overloaded"] as const satisfies readonly ErrorCode[];

/**
 * An upstream without `@latest` is not without the module: go makes the latest version of that upstream's own list before it
 * goes on to the next (SPEC §1.4). `"listed"`: there is such a list, and whoever asked makes it from there. Undefined: there is none.
 */
async function listFailure(
  source: Source,
  request: ModuleRequest,
  context: FetchContext,
): Promise<SluiceError | "listed" | undefined> {
  if (request.kind !== "latest") return undefined;
  const list = { kind: "list", modulePath: request.modulePath } as const;
  try {
    return await source.fetch(
      list,
      async (response) => {
        const sent = await readBody(response, maxListBytes);
        const { versions, timed } = parseFrom(response.source, blobKey(list), () => parseList(sent));
        return versions.length + timed.length > 0 ? "listed" : undefined;
      },
      context,
    );
  } catch (error) {
    if (!isSluiceError(error, ...sourceCodes)) throw error;
    return error.code === "not_found" ? undefined : error;
  }
}

/** Whether another place is asked when the one at `index` fails. */
function isFollowedIn(
  places: readonly Place[],
  { index, isSpared }: { readonly index: number; readonly isSpared: (place: Place) => boolean },
): boolean {
  for (let at = index; places[at]?.fallBackOnError === true; at += 1) {
    const next = places[at + 1];
    if (next === undefined) return false;
    if (!isSpared(next)) return true;
  }
  return false;
}

/** Who is asked behind the place at `index` anyway, and has the same. */
function equalsBehind(places: readonly Place[], index: number): Source[] {
  const team = places[index]?.team;
  if (team === undefined) return [];
  return places.slice(index + 1).flatMap((place) => (place.team === team ? [place.source] : []));
}

/**
 * Sources asked one after the other, as go walks through GOPROXY (SPEC §1.6 and §1.7): the next one after `not_found`, or,
 * where a `|` stands between them, after any failure. The last failure that is not `not_found` is the answer.
 *
 * After a copy that a checksum database does not confirm the next one is asked in any case. When nobody else is left, those that
 * were given up in their outage, because there was somebody else, are waited for. When a member of a group is late, the
 * next one that is well is asked as well. Backups are passed over when a member of their group said `not_found`.
 *
 * Unlike in go, `direct` at the end does not turn an upstream's failure into `not_found`: that upstream may have what its
 * repository has lost. `@latest` ends at the first that has a list. `not_found` carries in `details.asked` how many sources said so.
 */
export function createChain(options: ChainOptions): Source {
  const { entries, privateRules, direct, open, groups = [], onHedge, clock = systemClock } = options;
  const links: Link[] = [];
  let end: EndEntry["name"] | undefined;
  for (const entry of entries) {
    if (entry.kind === "end") end = entry.name;
    else links.push({ source: open(entry), fallBackOnError: entry.fallBackOnError });
  }
  if (end === "direct" && direct !== undefined) links.push({ source: direct, fallBackOnError: false });
  const inOrder = createGroupOrder(links, groups, clock);

  return {
    name: formatChain(entries),
    async fetch<T>(
      request: ModuleRequest,
      receive: (response: SourceResponse) => Promise<T>,
      context: FetchContext,
    ): Promise<T> {
      if (privateRules.matches(request.modulePath)) {
        if (direct === undefined) throw notFoundPrivate(request);
        return direct.fetch(request, receive, context).catch((error: unknown) => {
          throw isSluiceError(error, ...sourceCodes) ? directAnswer(request, error) : error;
        });
      }
      const answers: SourceAnswer[] = [];
      const givenUp: Source[] = [];
      let failure: SluiceError | undefined;
      const places = inOrder();
      const missing = new Map<Source, SluiceError>();
      const settled = new Set<ChainGroup>();
      const isSpared = ({ team }: Place): boolean => team?.isBackup === true && settled.has(team.group);
      for (const [index, place] of places.entries()) {
        const { source, team, fallBackOnError } = place;
        if (isSpared(place)) {
          if (failure !== undefined && !fallBackOnError) break;
          continue;
        }
        const isFollowed = isFollowedIn(places, { index, isSpared });
        try {
          const said = missing.get(source);
          if (said !== undefined) throw said;
          const asked = isFollowed ? { ...context, failFast: true, mayMoveOn: true } : context;
          const equals = equalsBehind(places, index);
          if (equals.length === 0) return await source.fetch(request, receive, asked);
          return await fetchFromEquals(source, {
            request,
            receive,
            context: asked,
            equals,
            missing,
            isAnswer: (error) => isSluiceError(error, ...sourceCodes),
            onHedge,
          });
        } catch (error) {
          if (!isSluiceError(error, ...sourceCodes)) throw error;
          answers.push({ source: source.name, error });
          if (error.code === "not_found" && team?.isBackup === false) settled.add(team.group);
          if (isFollowed && isSluiceError(error, ...outageCodes)) givenUp.push(source);
          const later = error.code === "not_found" ? await listFailure(source, request, context) : error;
          if (later === "listed") {
            failure = undefined;
            break;
          }
          if (later === undefined) continue;
          // Of all failures, one that somebody may have made on purpose is what has to be told.
          if (failure === undefined || !isChecksumMismatch(failure)) failure = later;
          // Its copy is not the version that the world knows; who comes next has to prove its own just so.
          if (context.signal.aborted || !(fallBackOnError || isChecksumMismatch(later))) break;
        }
      }
      if (failure !== undefined && isChecksumMismatch(failure) && context.failFast !== true) {
        for (const source of givenUp) {
          if (context.signal.aborted) break;
          try {
            return await source.fetch(request, receive, context);
          } catch (error) {
            // It has had its say, and the wrong copy is what has to be told.
            if (!isSluiceError(error, ...sourceCodes)) throw error;
          }
        }
      }
      const last = answers.at(-1);
      if (failure === undefined && direct !== undefined && last?.source === direct.name) {
        throw directAnswer(request, last.error, answers.slice(0, -1));
      }
      throw failure === undefined
        ? notFound(request, answers, direct === undefined ? end : undefined)
        : failed(request, failure, answers);
    },
    async close() {
      const sources = new Set(links.map(({ source }) => source));
      if (direct !== undefined) sources.add(direct);
      await Promise.all([...sources].map((source) => source.close()));
    },
  };
}
