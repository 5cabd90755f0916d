import { inspect } from "node:util";

/** A user name and password for one upstream. However it is logged, joined or serialised, neither comes out. */
export class Credentials {
  readonly #username: string;
  readonly #password: string;

  constructor(username: string, password: string) {
    this.#username = username;
    this.#password = password;
  }

  /** The secrets themselves, for the one place that sends them. */
  reveal(): { readonly username: string; readonly password: string } {
    return { username: this.#username, password: this.#password };
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
