import { setTimeout as delay } from "node:timers/promises";
import { type FaultProxy, type LinkFault } from "../../support/fault-proxy.ts";
import { networkFaults } from "../../support/faulty-upstream.ts";
import type { Random } from "../../support/random.ts";
import type { SharedParts } from "../../support/shared-parts.ts";
import type { GeneratedUpstream } from "../generated-upstream.ts";

export interface WeatherOptions {
  readonly upstream: GeneratedUpstream;
  readonly shared: SharedParts;
  readonly links: Readonly<Record<"upstream" | "bucket" | "database" | "redis", FaultProxy>>;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** Shorter than `wait_while_down` of [upstream]: nothing that clients ask for may fail. */
const maxOutageMs = 12_000;
const maxRestMs = 25_000;

/** Has 10 to 30 % of all requests to the upstream fail, and something break now and then, one thing at a time. Answers what it was, and how often. */
export async function makeWeather({
  upstream,
  shared,
  links,
  random,
  signal,
}: WeatherOptions): Promise<Map<string, number>> {
  const seen = new Map<string, number>();
  upstream.weather.faults = networkFaults;
  const names = ["upstream", "bucket", "database", "redis"] as const;
  while (!signal.aborted) {
    upstream.weather.failPercent = 10 + random.int(21);
    await rest(3000 + random.int(maxRestMs), signal);
    const outageMs = 2000 + random.int(maxOutageMs - 2000);
    const name = random.pick(names);
    if (random.chance(25) && name !== "upstream") {
      seen.set(`${name} is killed`, (seen.get(`${name} is killed`) ?? 0) + 1);
      await kill(shared, name, () => rest(outageMs, signal));
      continue;
    }
    const fault = linkFault(random);
    const label = `${name}: ${fault.kind}`;
    seen.set(label, (seen.get(label) ?? 0) + 1);
    await links[name].setFault(fault);
    await rest(outageMs, signal);
    await links[name].setFault(undefined);
  }
  upstream.weather.failPercent = 0;
  return seen;
}

async function kill(
  { bucket, database, redis }: SharedParts,
  name: "bucket" | "database" | "redis",
  meanwhile: () => Promise<void>,
): Promise<void> {
  if (name === "redis") {
    await redis.kill();
    await meanwhile();
    return redis.restart();
  }
  const part = name === "bucket" ? bucket : database;
  await part.kill();
  await meanwhile();
  await part.startAgain();
}

function linkFault(random: Random): LinkFault {
  return random.pick<LinkFault>([
    { kind: "latency", ms: 20 + random.int(150) },
    { kind: "bandwidth", bytesPerSecond: 300_000 },
    { kind: "blackhole" },
    { kind: "refuse" },
    { kind: "reset" },
    { kind: "cut", afterBytes: random.int(60_000) },
  ]);
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
