import type { Clock, Source } from "../core/ports.ts";

/** Upstreams with the same content. */
export interface ChainGroup {
  /** As the chain names them. */
  readonly members: readonly string[];
  /** Of those that are equally well: the first in the chain, or each in its turn. */
  readonly balance: "order" | "spread";
}

/** A place in a chain. */
export interface Link {
  readonly source: Source;
  /** A `|` stands behind it. */
  readonly fallBackOnError: boolean;
}

/** Who is not well is asked first once in this time, with the others behind it, as otherwise nobody would know when it is well again. */
const trialMs = 10_000;
const ranks = { ok: 0, degraded: 1, down: 2 } as const;

/** The order in which a request asks the links. Only members of a group that stand side by side, with `|` between them, change places. */
export function createGroupOrder(
  links: readonly Link[],
  groups: readonly ChainGroup[],
  clock: Pick<Clock, "now">,
): () => readonly Link[] {
  const parts: (() => readonly Link[])[] = [];
  let begin = 0;
  while (begin < links.length) {
    const { group, end } = runAt(links, begin, groups);
    const run = links.slice(begin, end);
    parts.push(group === undefined || run.length === 1 ? () => run : orderOf(run, group, clock));
    begin = end;
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : () => parts.flatMap((part) => part());
}

function runAt(
  links: readonly Link[],
  begin: number,
  groups: readonly ChainGroup[],
): { readonly group: ChainGroup | undefined; readonly end: number } {
  const isIn = (group: ChainGroup | undefined, link: Link | undefined): boolean =>
    link !== undefined && group?.members.includes(link.source.name) === true;
  const group = groups.find((one) => isIn(one, links[begin]));
  let end = begin + 1;
  while (isIn(group, links[end]) && links[end - 1]?.fallBackOnError === true) end += 1;
  return { group, end };
}

function orderOf(run: readonly Link[], { balance }: ChainGroup, clock: Pick<Clock, "now">): () => readonly Link[] {
  let turn = 0;
  let trials = 0;
  let triedAt = clock.now();
  return () => {
    const start = balance === "spread" ? turn++ % run.length : 0;
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
    return sorted.map((source, index) => ({ source, fallBackOnError: run[index]?.fallBackOnError ?? false }));
  };
}
