import type { PartHealth } from "../core/health.ts";

export interface Readiness {
  readonly isReady: boolean;
  /** Why not, for people. */
  readonly problem: string | undefined;
  readonly parts: readonly PartHealth[];
}

/** A node gets traffic unless it ends, or a part is down that it cannot do without. */
export function readinessOf(parts: readonly PartHealth[], { isDraining }: { readonly isDraining: boolean }): Readiness {
  const missing = parts.filter(({ state, isNeeded }) => isNeeded && state === "down");
  const problems = [
    ...(isDraining ? ["this node is shutting down"] : []),
    ...missing.map(({ part, detail }) => `${part}: ${detail}`),
  ];
  return { isReady: problems.length === 0, problem: problems.length === 0 ? undefined : problems.join("; "), parts };
}

/** One line for each part, and a last one that says what it comes to. */
export function formatReadiness({ problem, parts }: Readiness): string {
  const lines = parts.map(
    ({ part, state, detail, isNeeded }) =>
      `[${state}] ${part}: ${detail}${state === "down" && !isNeeded ? " (not needed to serve what is stored)" : ""}`,
  );
  return `${[...lines, problem === undefined ? "ready" : `not ready: ${problem}`].join("\n")}\n`;
}
