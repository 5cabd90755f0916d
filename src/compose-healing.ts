import { join } from "node:path";
import type { Config } from "./config/index.ts";
import { systemClock } from "./core/clock.ts";
import type { HealthOf, PartHealth } from "./core/health.ts";
import type { Events, SluiceEvent } from "./core/events.ts";
import type { BlobKey, ModuleStore } from "./core/ports.ts";
import { AuditLog } from "./ops/audit-log.ts";
import { Healing } from "./ops/healing.ts";
import type { Log } from "./ops/log.ts";
import { requestOf } from "./storage/layout.ts";

export type { Healing } from "./ops/healing.ts";

interface HealingParts {
  readonly log: Log;
  /** Where events of all parts go. */
  readonly events: Events;
  readonly health: () => Promise<readonly PartHealth[]>;
  readonly knownHealth: HealthOf;
  readonly read: ModuleStore["read"];
}

/** What follows troubles to their end, and writes down how that went. `events` is where all parts tell what happens. */
export function composeHealing(
  config: Config,
  { log, events, health, knownHealth, read }: HealingParts,
): { readonly events: Events; readonly healing: Healing; readonly audit: AuditLog } {
  const file = join(config.store.dataDir, "audit.log");
  const audit = new AuditLog({
    file,
    onFailure: ({ message }) =>
      log.logger.warn({ file, error: message }, "the audit log cannot be written now; what belongs there waits"),
  });
  const told: Events = {
    emit(event) {
      events.emit(event);
      const record = auditRecord(event);
      if (record !== undefined) audit.write(record);
    },
  };
  const isStored = async (key: BlobKey): Promise<boolean> => {
    const request = requestOf(key);
    const found = request && (await read(request));
    found?.discard();
    return found !== undefined;
  };
  const healing = new Healing({ events: told, clock: systemClock, health, knownHealth, isStored });
  return { events: healing.heeding(told), healing, audit };
}

/** Of what an operator wants to know years later. */
function auditRecord(event: SluiceEvent): Readonly<Record<string, unknown>> | undefined {
  const at = (): string => isoTime(systemClock.now());
  if (event.type === "incident_opened" || event.type === "incident_ended") {
    const { openedAt, lastSeenAt, ...incident } = event.incident;
    return { at: at(), event: event.type, ...incident, openedAt: isoTime(openedAt), lastSeenAt: isoTime(lastSeenAt) };
  }
  if (event.type === "drill_started")
    return { at: at(), event: event.type, drill: event.drill, seconds: event.seconds };
  if (event.type === "drill_ended") return { at: at(), event: event.type, ...event.report };
  return undefined;
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
