import type { Worker } from "node:cluster";
import { z } from "zod";

/** What node:cluster writes to a worker with a connection for it, and what it reads once the worker has it or does not want it. */
const givenSchema = z.object({ cmd: z.literal("NODE_CLUSTER"), act: z.literal("newconn"), seq: z.number() });
const answeredSchema = z.object({ cmd: z.literal("NODE_CLUSTER"), ack: z.number() });

interface Handle {
  close(): void;
}

/**
 * Gives connections that are on their way to a worker which ends to another one, or ends them where `hasOthers` says that there is
 * none. node:cluster keeps them until the worker has said that it takes them: from one that was killed that never comes, and the
 * client would get neither an answer nor an end.
 */
export function giveBackHandoffs({ process: worker }: Pick<Worker, "process">, hasOthers: () => boolean): void {
  const underWay = new Map<number, Handle>();
  const send = worker.send.bind(worker);
  worker.send = (message: unknown, ...rest: unknown[]): boolean => {
    const given = givenSchema.safeParse(message);
    const [handle] = rest;
    if (given.success && isHandle(handle)) underWay.set(given.data.seq, handle);
    return Reflect.apply(send, worker, [message, ...rest]);
  };
  worker.on("internalMessage", (message: unknown) => {
    const answered = answeredSchema.safeParse(message);
    if (answered.success) underWay.delete(answered.data.ack);
  });
  const giveBack = (): void => {
    const left = [...underWay];
    underWay.clear();
    for (const [seq, handle] of left) {
      // What a worker says that does not want it.
      if (hasOthers()) worker.emit("internalMessage", { cmd: "NODE_CLUSTER", ack: seq, accepted: false });
      else handle.close();
    }
  };
  // By then node:cluster gives it nothing more.
  worker.once("exit", () => {
    if (worker.connected) worker.once("disconnect", giveBack);
    else giveBack();
  });
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && "close" in value && typeof value.close === "function";
}
