import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../src/protocol/error.ts";
import { fuzzTarget, loadTargets, type FuzzTarget } from "./engine.ts";

const targets = await loadTargets();
const executionsPerTarget = 1000;

test.each(targets)("$name survives mutated input", (target) => {
  const { executions, finding } = fuzzTarget(target, { seed: 1, goesOn: (done) => done < executionsPerTarget });
  const input = finding && Buffer.from(finding.input).toString("base64");
  expect({ error: finding?.error, input }).toEqual({ error: undefined, input: undefined });
  expect(executions).toBe(executionsPerTarget);
});

describe("the fuzzer", () => {
  const brittle: FuzzTarget = {
    name: "brittle",
    seeds: [Buffer.from("hello world")],
    dictionary: ["B", "UG"],
    fuzz(input) {
      const text = Buffer.from(input).toString("latin1");
      if (text.includes("BUG")) throw new TypeError("undefined is not a function");
      if (text.includes("w")) throw new ProtocolError("malformed_path", "has a w");
    },
  };

  test("finds an error that is no ProtocolError and shortens the input to what matters", () => {
    const { finding, outcomes } = fuzzTarget(brittle, { seed: 1, goesOn: (done) => done < 10_000 });
    expect(finding?.error).toBeInstanceOf(TypeError);
    expect(Buffer.from(finding?.input ?? []).toString()).toBe("BUG");
    expect(outcomes).toBeGreaterThan(1);
  });

  test("repeats the same inputs with the same seed, and others with another", () => {
    const inputsOf = (seed: number) => {
      const inputs: string[] = [];
      const fuzz = (input: Uint8Array) => void inputs.push(Buffer.from(input).toString("base64"));
      fuzzTarget({ ...brittle, fuzz }, { seed, goesOn: (done) => done < 200 });
      return inputs;
    };
    expect(inputsOf(7)).toEqual(inputsOf(7));
    expect(inputsOf(7)).not.toEqual(inputsOf(8));
  });

  test("leaves the seeds of a target as they are", () => {
    const seeds = [Buffer.from("hello world")];
    const fuzz = (input: Uint8Array) => void input.fill(0);
    fuzzTarget({ ...brittle, seeds, fuzz }, { seed: 1, goesOn: (done) => done < 1000 });
    expect(seeds).toEqual(brittle.seeds);
  });

  test.each([
    { args: ["--seconds", "0.2", "--seed", "1", "module"], status: 0, says: /^1 passed, 0 failed$/m },
    { args: ["--input", Buffer.from("x.y/z\nv1.0.0").toString("base64"), "module"], status: 0, says: /^module: ok/ },
    { args: ["nothing"], status: 2, says: /no target named nothing; there are .*module/ },
    { args: ["--seconds", "no"], status: 2, says: /--seconds must be a number above 0/ },
    { args: ["--input", "AA=="], status: 2, says: /--input needs exactly one target/ },
  ])("run.ts $args ends with $status", ({ args, status, says }) => {
    const run = spawnSync(process.execPath, [path.join(import.meta.dirname, "run.ts"), ...args], { encoding: "utf8" });
    expect(run.stdout + run.stderr).toMatch(says);
    expect(run.status).toBe(status);
  });
});
