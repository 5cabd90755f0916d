import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { SluiceNode } from "../../support/sluice-node.ts";
import { filesIn } from "../kills/stored-files.ts";

/** How the node is at one moment. */
export interface Sample {
  readonly seconds: number;
  readonly rssMib: number;
  readonly heapMib: number;
  /** Buffers and other memory of V8 outside of its heap. */
  readonly externalMib: number;
  readonly cpuSeconds: number;
  readonly files: number;
  readonly sockets: number;
  readonly threads: number;
  /** Timers, sockets and other things of Node that are active. */
  readonly resources: number;
  readonly modulesMib: number;
  readonly stagingFiles: number;
  readonly databasesMib: number;
  readonly outboxFiles: number;
  readonly evictedFiles: number;
}

const mib = 1024 * 1024;

export async function takeSample(node: SluiceNode, seconds: number): Promise<Sample> {
  const metrics = await (await fetch(`${node.url}/metrics`, { signal: AbortSignal.timeout(30_000) })).text();
  /** Of all its labels together; nothing was counted yet where there is none. */
  const metric = (name: string): number =>
    [...metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    );
  const { files, sockets } = descriptorsOf(node.pid);
  const [modules, databases, staging] = await Promise.all([
    bytesIn(path.join(node.dataDir, "modules")),
    bytesOf(
      readdirSync(node.dataDir).flatMap((name) => (/\.db(-wal)?$/.test(name) ? [path.join(node.dataDir, name)] : [])),
    ),
    filesIn(path.join(node.dataDir, "staging")),
  ]);
  return {
    seconds: Math.round(seconds),
    rssMib: round(node.rssBytes() / mib),
    heapMib: round(metric("nodejs_heap_size_used_bytes") / mib),
    externalMib: round(metric("nodejs_external_memory_bytes") / mib),
    cpuSeconds: round(metric("process_cpu_seconds_total")),
    files,
    sockets,
    threads: Number(/^Threads:\s+(\d+)$/m.exec(readFileSync(`/proc/${node.pid}/status`, "utf8"))?.[1]),
    resources: metric("nodejs_active_resources_total"),
    modulesMib: round(modules / mib),
    stagingFiles: staging.length,
    databasesMib: round(databases / mib),
    outboxFiles: metric("sluice_outbox_files"),
    evictedFiles: metric("sluice_disk_cache_evicted_files_total"),
  };
}

function descriptorsOf(pid: number): { readonly files: number; readonly sockets: number } {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).map((name) => targetOf(path.join(folder, name)));
  const sockets = targets.filter((target) => target.startsWith("socket:")).length;
  return { files: targets.length - sockets, sockets };
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ""; // closed meanwhile
  }
}

async function bytesIn(folder: string): Promise<number> {
  return bytesOf(await filesIn(folder));
}

async function bytesOf(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(
    files.map((file) =>
      stat(file).then(
        ({ size }) => size,
        () => 0, // gone meanwhile
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
