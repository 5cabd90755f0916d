import type { Events, SluiceEvent } from "../../src/core/events.ts";

/** Events, kept to be looked at. */
export interface RecordedEvents extends Events {
  readonly all: readonly SluiceEvent[];
  of<Type extends SluiceEvent["type"]>(type: Type): Extract<SluiceEvent, { readonly type: Type }>[];
  clear(): void;
}

export function recordEvents(): RecordedEvents {
  const all: SluiceEvent[] = [];
  return {
    all,
    emit: (event) => void all.push(event),
    of: <Type extends SluiceEvent["type"]>(type: Type) =>
      all.filter((event): event is Extract<SluiceEvent, { readonly type: Type }> => event.type === type),
    clear: () => void all.splice(0),
  };
}
