import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import type { LinkFault } from "../support/fault-proxy.ts";
import type { Random } from "../support/random.ts";
import type { Site } from "./site.ts";

/** Something that goes wrong for a while, one at a time. */
export interface Fault {
  readonly name: string;
  /** Downloads that are under way meanwhile and may fail all the same, as nothing in Sluice could save them. Default: none. */
  readonly mayFail?: "all" | "cold" | "cut";
  readonly hurt: () => unknown;
  readonly heal: () => unknown;
}

/** All that can go wrong here, to choose from. */
export function faultsOf(site: Site, random: Random): readonly (() => Fault)[] {
  const choices: (() => Fault)[] = [];
  for (const [name, link] of site.links) {
    choices.push(() => {
      const fault = linkFault(name, random);
      return {
        name: `${name}: ${describe(fault)}`,
        // What nginx has passed on of an answer it cannot take back, and go does not ask for the rest.
        ...(site.topology === "nginx" && name.startsWith("clients") && { mayFail: "cut" as const }),
        hurt: () => link.setFault(fault),
        heal: () => link.setFault(undefined),
      };
    });
  }
  choices.push(() => {
    const percent = random.pick([10, 30, 50]);
    return {
      name: `${percent} of 100 requests fail at both upstreams`,
      hurt: () => site.setUpstreamFaults(percent),
      heal: () => site.setUpstreamFaults(0),
    };
  });
  choices.push(() => allUpstreamsDead(site, random));
  for (const [index, node] of site.nodes.entries()) {
    choices.push(() => ({ name: `node ${index} stands still`, hurt: () => node.pause(), heal: () => node.resume() }));
    choices.push(() => ({
      name: `node ${index} is killed`,
      ...(site.topology !== "pair" && { mayFail: site.nodes.length === 1 ? ("all" as const) : ("cut" as const) }),
      hurt: () => node.stop("SIGKILL"),
      heal: () => node.start(),
    }));
  }
  const [node] = site.nodes;
  if (site.topology === "workers" && node !== undefined) {
    choices.push(() => ({
      name: "the engine is killed",
      hurt: () => node.killProcess("sluice engine"),
      heal: () => undefined,
    }));
    choices.push(() => ({
      name: "a front is killed",
      mayFail: "all",
      hurt: () => node.killProcess("sluice front"),
      heal: () => undefined,
    }));
  }
  const { shared, disk } = site;
  if (shared !== undefined) {
    const { redis, database, bucket } = shared;
    choices.push(
      () => ({ name: "Redis is killed", hurt: () => redis.kill(), heal: () => redis.restart() }),
      () => ({ name: "Redis stands still", hurt: () => redis.hang(), heal: () => redis.resume() }),
      () => ({ name: "PostgreSQL is killed", hurt: () => database.kill(), heal: () => database.startAgain() }),
      () => ({ name: "PostgreSQL stands still", hurt: () => database.pause(), heal: () => database.resume() }),
      () => ({ name: "MinIO is killed", hurt: () => bucket.kill(), heal: () => bucket.startAgain() }),
      () => ({ name: "MinIO stands still", hurt: () => bucket.pause(), heal: () => bucket.resume() }),
    );
  }
  if (disk !== undefined) {
    const filler = path.join(disk.path, "filler");
    choices.push(() => ({
      name: "the disk of node 0 is full",
      hurt: () => fill(filler),
      heal: () => rmSync(filler, { force: true }),
    }));
  }
  return choices;
}

function allUpstreamsDead(site: Site, random: Random): Fault {
  const links = [...site.links].filter(([name]) => name.includes("upstream")).map(([, link]) => link);
  const fault: LinkFault = random.pick([{ kind: "refuse" }, { kind: "reset" }]);
  return {
    name: `all upstreams: ${fault.kind}`,
    mayFail: "cold",
    hurt: () => Promise.all(links.map((link) => link.setFault(fault))),
    heal: () => Promise.all(links.map((link) => link.setFault(undefined))),
  };
}

function linkFault(name: string, random: Random): LinkFault {
  const faults: LinkFault[] = [
    { kind: "latency", ms: 20 + random.int(200) },
    { kind: "bandwidth", bytesPerSecond: 200_000 + random.int(2_000_000) },
    { kind: "blackhole" },
    { kind: "refuse" },
    { kind: "reset" },
    { kind: "cut", afterBytes: random.int(60_000) },
  ];
  // Plain HTTP and no checksum database: who gets a wrong .mod could not know. What is in the bucket has hashes.
  if (name.endsWith("bucket")) faults.push({ kind: "flip", everyBytes: 20_000 + random.int(60_000) });
  return random.pick(faults);
}

function describe({ kind, ...rest }: LinkFault): string {
  return [kind, ...Object.entries(rest).map(([key, value]) => `${key} ${value}`)].join(", ");
}

function fill(file: string): void {
  const handle = openSync(file, "w");
  try {
    for (let size = 1 << 20; size >= 4096; size >>= 1) while (isWritten(handle, size));
  } finally {
    closeSync(handle);
  }
}

function isWritten(handle: number, size: number): boolean {
  try {
    writeSync(handle, Buffer.alloc(size));
    return true;
  } catch {
    return false; // full
  }
}
