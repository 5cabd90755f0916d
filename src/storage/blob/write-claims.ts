import type { Clock } from "../../core/ports.ts";

/**
 * Lets one writer at a time create an object, where the store itself cannot tell who was first. A claim is let go of once nothing
 * of what its holder has sent can still arrive; where that is not known it ends by itself, after `claimLifetimeMs`.
 */
export interface WriteClaims {
  /** Whether it is this writer's now. Fails with `storage_failed` when nobody can tell. */
  claim(object: string, writer: string): Promise<boolean>;
  letGo(object: string, writer: string): Promise<void>;
}

/** Four attempts of 30 s each, and what a store still has of them when their sender has given up. */
export const claimLifetimeMs = 5 * 60_000;

/** For a bucket in which only this process writes. */
export function createOwnClaims({ now }: Pick<Clock, "now">): WriteClaims {
  const standing = new Map<string, { readonly writer: string; readonly at: number }>();
  return {
    async claim(object, writer) {
      const endedBefore = now() - claimLifetimeMs;
      // The oldest come first.
      for (const [other, { at }] of standing) {
        if (at >= endedBefore) break;
        standing.delete(other);
      }
      if (standing.has(object)) return false;
      standing.set(object, { writer, at: now() });
      return true;
    },
    async letGo(object, writer) {
      if (standing.get(object)?.writer === writer) standing.delete(object);
    },
  };
}
