import type { Clock, Source } from "../core/ports.ts";

/** Upstreams with the same content. */
export interface ChainGroup {
  /** As the chain names them. */
  readonly members: readonly string[];
  /** Asked only when no member answers. As the chain names them. */
  readonly backups?: readonly string[] | undefined;
  /** Of those that are equally well: the first in the chain, or each in its turn. */
  readonly balance: "order" | "spread";
}

/** A place in a chain. */
export interface Link {
  readonly source: Source;
  /** A `|` stands behind it. */
  readonly fallBackOnError: boolean;
}

/** Those of one group, members or backups, that stand side by side. */
export interface Team {
  readonly group: ChainGroup;
  readonly isBackup: boolean;
}

/** A link in the order of one request. */
export interface Place extends Link {
  /** Who is in the same one has the same. */
  readonly team: Team | undefined;
}

/** Who is not well is asked first once in this time, with the others behind it, as otherwise nobody would know when it is well again. */
const trialMs = 10_000;
const ranks = { ok: 0, degraded: 1, down: 2 } as const;

/** The order in which a request asks the links. Only those of a team that stand side by side, with `|` between them, change places. */
export function createGroupOrder(
  links: readonly Link[],
  groups: readonly ChainGroup[],
  clock: Pick<Clock, "now">,
): () => readonly Place[] {
  const parts: (() => readonly Place[])[] = [];
  let begin = 0;
  while (begin < links.length) {
    const { team, end } = runAt(links, begin, groups);
    const run = links.slice(begin, end).map((link): Place => ({ ...link, team }));
    parts.push(team === undefined || run.length === 1 ? () => run : orderOf(run, team, clock));
    begin = end;
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : () => parts.flatMap((part) => part());
}

function runAt(
  links: readonly Link[],
  begin: number,
  groups: readonly ChainGroup[],
): { readonly team: Team | undefined; readonly end: number } {
  const team = teamOf(links[begin], groups);
  let end = begin + 1;
  if (team === undefined) return { team, end };
  const names = namesIn(team);
  const isIn = (link: Link | undefined): boolean => link !== undefined && names.includes(link.source.name);
  while (isIn(links[end]) && links[end - 1]?.fallBackOnError === true) end += 1;
  return { team, end };
}

function teamOf(link: Link | undefined, groups: readonly ChainGroup[]): Team | undefined {
  if (link === undefined) return undefined;
  const { name } = link.source;
  const teams = groups.flatMap((group) => [
    { group, isBackup: false },
    { group, isBackup: true },
  ]);
  return teams.find((team) => namesIn(team).includes(name));
}

function namesIn({ group, isBackup }: Team): readonly string[] {
  return isBackup ? (group.backups ?? []) : group.members;
}

function orderOf(run: readonly Place[], team: Team, clock: Pick<Clock, "now">): () => readonly Place[] {
  const isSpread = team.group.balance === "spread" && !team.isBackup;
  let turn = 0;
  let trials = 0;
  let triedAt = clock.now();
  return () => {
    const start = isSpread ? turn++ % run.length : 0;
    const sources = [...run.slice(start), ...run.slice(0, start)].map(({ source }) => source);
    const rankOf = new Map(sources.map((source) => [source, ranks[source.condition?.().state ?? "ok"]]));
    const sorted = sources.toSorted((a, b) => (rankOf.get(a) ?? 0) - (rankOf.get(b) ?? 0));
    const unwell = sorted.filter((source) => (rankOf.get(source) ?? 0) > 0);
    const trial = unwell[trials % Math.max(1, unwell.length)];
    if (trial !== undefined && Math.abs(clock.now() - triedAt) >= trialMs) {
      triedAt = clock.now();
      trials += 1;
      sorted.splice(sorted.indexOf(trial), 1);
      sorted.unshift(trial);
    }
    // The separators are those of the places.
    return sorted.map((source, index) => ({ source, fallBackOnError: run[index]?.fallBackOnError ?? false, team }));
  };
}
