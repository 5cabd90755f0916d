import type { ChildProcess } from "node:child_process";
import { type FromChild, fromChildSchema, type ToChild } from "./control.ts";

/** It ended before it did its work. */
export class StartFailure extends Error {
  override readonly name = "StartFailure";
  /** For the primary itself, when it is the first one. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A child process that does a part of the work. */
export interface Child {
  readonly pid: number;
  /** Resolves with the port that it listens on; rejects with `StartFailure`. */
  readonly ready: Promise<number>;
  /** Resolves with how it ended, for people. */
  readonly ended: Promise<string>;
  send(message: ToChild): void;
  /** Answers how to end it. */
  on(listener: (message: FromChild) => void): () => void;
  kill(): void;
}

export function createChild(process: ChildProcess): Child {
  const listeners = new Set<(message: FromChild) => void>();
  const ready = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<string>();
  ready.promise.catch(() => undefined);
  process.on("message", (sent) => {
    const message = fromChildSchema.safeParse(sent);
    // Others use the same pipe.
    if (!message.success) return;
    if (message.data.sluice === "ready") ready.resolve(message.data.port);
    if (message.data.sluice === "failed") {
      ready.reject(new StartFailure(message.data.message, message.data.exitCode));
    }
    for (const listener of listeners) listener(message.data);
  });
  const end = (how: string): void => {
    ended.resolve(how);
    ready.reject(new StartFailure(`a process of Sluice ended before it was ready (${how}); its log says more`, 1));
  };
  process.once("error", (error) => end(error.message));
  process.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
  return {
    pid: process.pid ?? 0,
    ready: ready.promise,
    ended: ended.promise,
    send(message) {
      // A child that ends is noticed by that.
      if (process.connected) process.send(message, () => undefined);
    },
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    kill: () => void process.kill("SIGKILL"),
  };
}
