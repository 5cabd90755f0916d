import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import type { LinkFault } from "../support/fault-proxy.ts";
import type { Random } from "../support/random.ts";
import type { Site } from "./site.ts";

/**
 * Downloads that are under way meanwhile and may fail all the same, as nothing in Sluice could save them: all, those of what
 * nobody has asked for before, private ones among these, those that follow what is being fetched, or those whose answer is cut
 * half-way, which nobody can take back.
 */
export type MayFail = "all" | "cold" | "private" | "streamed" | "cut";

/** Something that goes wrong for a while, one at a time. */
export interface Fault {
  readonly name: string;
  /** Default: none. */
  readonly mayFail?: MayFail;
  readonly hurt: () => unknown;
  readonly heal: () => unknown;
}

/** All that can go wrong here, to choose from. */
export function faultsOf(site: Site, random: Random): readonly (() => Fault)[] {
  const choices: (() => Fault)[] = [];
  // In one order, whichever part was started first.
  for (const [name, link] of [...site.links].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    choices.push(() => {
      const fault = linkFault(name, random);
      return {
        name: `${name}: ${describe(fault)}`,
        ...excuseOf(site, name, fault),
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
  for (const upstream of [0, 1]) choices.push(() => lyingUpstream(site, upstream, random));
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
  const { shared, disk, clock } = site;
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
  if (clock !== undefined) {
    const hours = random.pick([1, 7, 30, 1000]) * random.pick([1, -1]);
    choices.push(() => ({
      name: `the clock of node 0 steps by ${hours} h, and back`,
      hurt: () => clock.setOffset(hours * 3600),
      heal: () => clock.setOffset(0),
    }));
  }
  return choices;
}

/** The checksum database cannot tell right from wrong for a while: what comes meanwhile is compared later, or refused. */
export function hurtsChecksums({ name }: Fault): boolean {
  return name.includes("checksum database: ") && !/latency|bandwidth/.test(name);
}

export function isLie({ name }: Fault): boolean {
  return name.includes(" sends ");
}

function excuseOf({ topology, traits }: Site, name: string, { kind }: LinkFault): { readonly mayFail?: MayFail } {
  // What nginx has passed on of an answer it cannot take back, and go does not ask for the rest.
  if (topology === "nginx" && name.startsWith("clients")) return { mayFail: "cut" };
  if (kind === "latency" || kind === "bandwidth") return {};
  // There is one host only. What is stored needs none.
  if (name.endsWith("git host")) return { mayFail: "private" };
  // What cannot be compared is refused where that is the rule, and what a database says that lies is refused everywhere.
  if (name.endsWith("checksum database") && (traits.verify === "required" || kind === "flip")) {
    return { mayFail: "cold" };
  }
  // The wrong byte may be among those that clients have when it is found.
  return kind === "flip" && name.includes("upstream") ? { mayFail: "streamed" } : {};
}

function lyingUpstream(site: Site, upstream: number, random: Random): Fault {
  const lie = random.pick(["bit", "content"] as const);
  return {
    name: `upstream ${upstream} sends ${lie === "bit" ? "a wrong bit in every file" : "other modules"}`,
    mayFail: "streamed",
    hurt: () => site.setLie(upstream, lie),
    heal: () => site.setLie(upstream, undefined),
  };
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
  // Where what comes has hashes, or is proven. A `.info` has none, so this is too seldom to be likely to hit one in its few letters.
  if (/bucket|upstream|checksum/.test(name)) faults.push({ kind: "flip", everyBytes: 2000 + random.int(60_000) });
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
