import { randomBytes } from "node:crypto";
import type { EndedIncident, Incident, Incidents } from "../core/incident.ts";
import type { PartHealth } from "../core/health.ts";
import type { Events, SluiceEvent } from "../core/events.ts";
import type { BlobKey, Clock } from "../core/ports.ts";
import { sleepUnlessAborted } from "../core/clock.ts";
import { type HealingRule, healingRules, type Sign } from "./healing-rules.ts";

export interface HealingOptions {
  readonly rules?: readonly HealingRule[];
  /** Where incidents are told. */
  readonly events: Events;
  readonly clock: Clock;
  /** Of all parts, asked only while there is trouble. */
  readonly health: () => Promise<readonly PartHealth[]>;
  /** Of those parts that need not be asked, as they know already. */
  readonly knownHealth: () => readonly PartHealth[];
  readonly isStored: (key: BlobKey) => Promise<boolean>;
}

interface Open {
  readonly rule: HealingRule;
  incident: Incident;
  checkAt: number;
  waitMs: number;
}

/** How often parts are looked at, and the first check of an incident. */
const roundMs = 2000;
/** A check that says no is made later and later. */
const maxWaitMs = 60_000;
/** Open at the same time. What comes beyond is told by its own events and metrics only. */
const maxOpen = 200;
const maxEnded = 20;
const maxTextLength = 500;

/** Follows what goes wrong, by the rules of `healing-rules.ts`, until it is over. */
export class Healing {
  readonly #options: HealingOptions;
  readonly #rules: readonly HealingRule[];
  readonly #open = new Map<string, Open>();
  readonly #ended: EndedIncident[] = [];
  readonly #closing = new AbortController();
  readonly #start = randomBytes(2).toString("hex");
  #count = 0;
  #running: Promise<void> | undefined;

  constructor(options: HealingOptions) {
    this.#options = options;
    this.#rules = options.rules ?? healingRules;
  }

  /** Everything that is emitted goes on, and is looked at by the rules. */
  heeding(events: Events): Events {
    return {
      emit: (event) => {
        events.emit(event);
        this.heed(event);
      },
    };
  }

  /** One that another process has told already. */
  heed(event: SluiceEvent): void {
    for (const rule of this.#rules) {
      const sign = rule.sign?.(event);
      if (sign !== undefined) this.#see(rule, sign);
      if (this.#open.size === 0) continue;
      const cure = rule.cure?.(event);
      if (cure === undefined) continue;
      const id = idOf(rule, cure);
      const open = this.#open.get(id);
      if (open !== undefined) this.#end(id, open, { outcome: "healed", how: cure.what });
    }
  }

  start(): void {
    this.#running ??= this.#run();
  }

  incidents(): Incidents {
    return { open: [...this.#open.values()].map(({ incident }) => incident), ended: this.#ended.toReversed() };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    for (const [id, open] of this.#open)
      this.#end(id, open, { outcome: "stopped", how: "Sluice ended before it was over" });
  }

  #see(rule: HealingRule, sign: Sign): void {
    const id = idOf(rule, sign);
    const now = this.#options.clock.now();
    const open = this.#open.get(id);
    if (open !== undefined) {
      open.incident = { ...open.incident, lastSeenAt: now, signs: open.incident.signs + 1 };
      return;
    }
    if (this.#open.size >= maxOpen || this.#closing.signal.aborted) return;
    const incident: Incident = {
      id: `${++this.#count}-${this.#start}`,
      rule: rule.name,
      subject: sign.subject,
      seen: sign.what.slice(0, maxTextLength),
      did: rule.act,
      openedAt: sign.at ?? now,
      lastSeenAt: now,
      signs: 1,
    };
    this.#open.set(id, { rule, incident, checkAt: now + roundMs, waitMs: roundMs });
    this.#options.events.emit({ type: "incident_opened", incident });
  }

  #end(id: string, open: Open, { outcome, how }: Pick<EndedIncident, "outcome" | "how">): void {
    const durationMs = Math.max(0, this.#options.clock.now() - open.incident.openedAt);
    const incident: EndedIncident = { ...open.incident, outcome, how: how.slice(0, maxTextLength), durationMs };
    this.#open.delete(id);
    this.#ended.push(incident);
    if (this.#ended.length > maxEnded) this.#ended.shift();
    this.#options.events.emit({ type: "incident_ended", incident });
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    while (await sleepUnlessAborted(clock, roundMs, this.#closing.signal)) {
      for (const part of this.#options.knownHealth()) this.#lookAt(part);
      await this.#checkAll();
    }
  }

  #lookAt(part: PartHealth): void {
    for (const rule of this.#rules) {
      const sign = rule.signOfPart?.(part);
      if (sign !== undefined) this.#see(rule, sign);
    }
  }

  async #checkAll(): Promise<void> {
    const { clock, health, isStored } = this.#options;
    const due = [...this.#open].filter(([, open]) => open.rule.isOver !== undefined && open.checkAt <= clock.now());
    if (due.length === 0) return;
    const parts = await health();
    for (const [id, open] of due) {
      if (this.#closing.signal.aborted) return;
      const { rule, incident } = open;
      const isQuiet = clock.now() - open.incident.lastSeenAt >= (rule.quietMs ?? 0);
      // One that cannot be asked has not said that it is over.
      const ask = async (): Promise<string | undefined> => rule.isOver?.(incident.subject, { parts, isStored });
      const how = isQuiet ? await ask().catch(() => undefined) : undefined;
      if (this.#open.get(id) !== open) continue;
      if (how !== undefined) {
        this.#end(id, open, { outcome: "healed", how });
        continue;
      }
      if (isQuiet) open.waitMs = Math.min(2 * open.waitMs, maxWaitMs);
      open.checkAt = clock.now() + open.waitMs;
    }
  }
}

function idOf({ name }: HealingRule, { subject }: Sign): string {
  return `${name} ${subject}`;
}
