import type { Child } from "../../src/cluster/child.ts";
import type { FromChild, ToChild } from "../../src/cluster/control.ts";

/** A child process that does what a test says. */
export interface Puppet extends Child {
  readonly sent: ToChild["sluice"][];
  isKilled: boolean;
  becomeReady(): void;
  fail(why: string): void;
  end(how: string): void;
  say(message: FromChild): void;
}

export function createPuppet(pid: number): Puppet {
  const ready = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<string>();
  const listeners = new Set<(message: FromChild) => void>();
  const puppet: Puppet = {
    pid,
    sent: [],
    isKilled: false,
    ready: ready.promise,
    ended: ended.promise,
    send: ({ sluice }) => void puppet.sent.push(sluice),
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    kill() {
      puppet.isKilled = true;
      ended.resolve("SIGKILL");
    },
    becomeReady: () => ready.resolve(3000),
    fail: (why) => ready.reject(new Error(why)),
    end: (how) => ended.resolve(how),
    say: (message) => {
      for (const listener of listeners) listener(message);
    },
  };
  return puppet;
}
