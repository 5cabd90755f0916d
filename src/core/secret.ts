import { inspect } from "node:util";

/** What must never be printed: however it is logged, joined or serialised, `[hidden]` comes out. */
export class Secret<Value = string> {
  readonly #value: Value;

  constructor(value: Value) {
    this.#value = value;
  }

  /** The value itself, for the one place that sends it. */
  reveal(): Value {
    return this.#value;
  }

  toString(): string {
    return "[hidden]";
  }

  toJSON(): string {
    return "[hidden]";
  }

  [inspect.custom](): string {
    return "[hidden]";
  }
}
