import { createHash } from "node:crypto";
import { Secret } from "../core/secret.ts";
import type { Config } from "./schema.ts";
import { sections, settingPath } from "./settings.ts";

export interface Reloaded {
  readonly config: Config;
  /** Settings, as `section.key`, that were changed but keep their old value until the next start. */
  readonly needRestart: readonly string[];
}

/** What counts when `next` comes while a Sluice runs that was started with `started`. */
export function reloaded(started: Config, next: Config): Reloaded {
  const needRestart: string[] = [];
  const tables: Record<string, object> = {};
  for (const { name, settings } of sections) {
    if (!settings.some(({ restart }) => restart === true)) continue;
    const old = tableOf(started, name);
    const table = { ...tableOf(next, name) };
    for (const setting of settings) {
      if (setting.restart !== true) continue;
      const { field } = setting;
      if (fingerprint(old[field]) !== fingerprint(table[field])) needRestart.push(settingPath(setting));
      table[field] = old[field];
    }
    tables[name] = table;
  }
  const { sharedDatabase } = started;
  if (fingerprint(sharedDatabase) !== fingerprint(next.sharedDatabase)) needRestart.push("database.url");
  return { config: { ...next, ...tables, sharedDatabase }, needRestart };
}

function tableOf(config: Config, name: string): Readonly<Record<string, unknown>> {
  const found = Object.entries(config).find(([section]) => section === name)?.[1];
  return Object.fromEntries(Object.entries(found ?? {}));
}

/** Two values with the same one say the same, their secrets included, which it does not show. */
export function fingerprint(value: unknown): string {
  const text = JSON.stringify(value, function (this: unknown, key: string, shown: unknown): unknown {
    const original: unknown = this !== null && typeof this === "object" ? Reflect.get(this, key) : shown;
    return original instanceof Secret ? { secret: original.reveal() } : shown;
  });
  return createHash("sha256")
    .update(text ?? "")
    .digest("hex");
}
