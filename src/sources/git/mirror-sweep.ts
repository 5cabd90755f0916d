import { join } from "node:path";
import type { Events } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import { folderSize } from "./folder-size.ts";
import { mirrorsOnDisk, removeMirror, removeRemains } from "./unused-mirrors.ts";

/** A mirror that this process works with. */
export interface OpenMirror {
  /** Infinite while a request has it open. */
  readonly usedAt: number;
  /** Takes it from the disk unless it was used since `before`. Answers what it was a mirror of. */
  removeUnused(before: number): Promise<string | undefined>;
}

export interface MirrorSweepOptions {
  /** Of all mirrors. */
  readonly folder: string;
  /** By the name of the folder. */
  readonly opened: () => ReadonlyMap<string, OpenMirror>;
  readonly keepUnusedMs: number | undefined;
  readonly maxBytes: number | undefined;
  readonly clock: Clock;
  readonly events: Events;
  readonly closing: AbortSignal;
}

/** Removes what nobody used for long, and then, where there is no space for all, what nobody used for longest. */
export async function sweepMirrors(options: MirrorSweepOptions): Promise<void> {
  await removeRemains(options.folder);
  await removeOld(options);
  await makeRoom(options);
}

async function removeOld(options: MirrorSweepOptions): Promise<void> {
  const { folder, keepUnusedMs, clock, closing } = options;
  if (keepUnusedMs === undefined) return;
  const before = clock.now() - keepUnusedMs;
  for (const { name, usedAt } of await mirrorsOnDisk(folder)) {
    if (closing.aborted) return;
    if (usedAt < before) await remove(name, { before, reason: "unused", options });
  }
}

async function makeRoom(options: MirrorSweepOptions): Promise<void> {
  const { folder, maxBytes, closing } = options;
  if (maxBytes === undefined) return;
  const opened = options.opened();
  const mirrors: { readonly name: string; readonly usedAt: number; readonly bytes: number }[] = [];
  for (const { name, usedAt } of await mirrorsOnDisk(folder)) {
    if (closing.aborted) return;
    const lastUse = Math.max(usedAt, opened.get(name)?.usedAt ?? 0);
    mirrors.push({ name, usedAt: lastUse, bytes: await folderSize(join(folder, name)) });
  }
  let left = mirrors.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, usedAt, bytes } of mirrors.toSorted((a, b) => a.usedAt - b.usedAt)) {
    if (left <= maxBytes || usedAt === Number.POSITIVE_INFINITY || closing.aborted) return;
    if (await remove(name, { before: usedAt + 1, reason: "space", options })) left -= bytes;
  }
}

async function remove(
  name: string,
  {
    before,
    reason,
    options,
  }: { readonly before: number; readonly reason: "unused" | "space"; readonly options: MirrorSweepOptions },
): Promise<boolean> {
  const { folder, opened, events } = options;
  const removed = await (opened().get(name)?.removeUnused(before) ?? removeMirror(join(folder, name)));
  if (removed !== undefined) events.emit({ type: "git_mirror_removed", repository: removed, reason });
  return removed !== undefined;
}
