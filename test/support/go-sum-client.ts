import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { z } from "zod";
import { buildOracle } from "./go-oracle.ts";

export interface GoSumRequest {
  /** Where the database answers, without a trailing slash. */
  readonly url: string;
  readonly verifierKey: string;
  /** Each `path version` or `path version/go.mod`, asked for at the same time. */
  readonly versions: readonly string[];
  /** As a new go command, which still knows the tree that the one before has seen. */
  readonly restart?: boolean;
  /** Without what was cached, but for that tree. */
  readonly forget?: boolean;
}

const answerSchema = z.object({
  found: z.array(z.object({ lines: z.array(z.string()).nullable(), error: z.string().optional() })),
  security: z.string().optional(),
});

/** For each version the lines of its record, or an error; `security` is what go would end with. */
export type GoSumAnswer = z.infer<typeof answerSchema>;

/** The client of golang.org/x/mod, with its own memory of trees and tiles. */
export interface GoSumClient {
  lookUp(request: GoSumRequest): Promise<GoSumAnswer>;
  close(): Promise<void>;
}

/** Builds `test/oracle/sumdb-client` and starts it. Guard the test with `lacksOracles()`. */
export function startGoSumClient(): GoSumClient {
  const child = spawn(buildOracle("sumdb-client"), { stdio: ["pipe", "pipe", "inherit"] });
  const waiting: PromiseWithResolvers<GoSumAnswer>[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    waiting.shift()?.resolve(answerSchema.parse(JSON.parse(line)));
  });
  child.on("exit", (code) => {
    for (const asked of waiting.splice(0)) asked.reject(new Error(`the Go client ended with ${code}`));
  });
  return {
    lookUp({ verifierKey, ...request }) {
      const asked = Promise.withResolvers<GoSumAnswer>();
      waiting.push(asked);
      child.stdin.write(`${JSON.stringify({ ...request, key: verifierKey })}\n`);
      return asked.promise;
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.stdin.end();
      await ended;
    },
  };
}
