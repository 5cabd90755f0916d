import { expect, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { createPuppet, type Puppet } from "../../test/support/puppet.ts";
import { reloadEngine } from "./reload-engine.ts";

const snapshot = { flags: {}, cwd: "/", files: [] };

/** An engine that is another process each time that somebody wants it. */
function successors(...children: (Puppet | undefined)[]) {
  return { up: () => Promise.resolve(children.shift()) };
}

function answering(outcome: "applied" | "refused"): Puppet {
  const child = createPuppet(1);
  return { ...child, send: () => child.say({ sluice: "reloaded", outcome }) };
}

function dying(): Puppet {
  const child = createPuppet(1);
  return { ...child, send: () => child.end("SIGKILL") };
}

test.each([
  ["the engine says so", [answering("applied")], "applied"],
  ["the engine refuses it", [answering("refused")], "refused"],
  ["it is killed, and the next one is told", [dying(), answering("applied")], "applied"],
  ["each one ends", [dying(), dying(), dying(), answering("applied")], "lost"],
  ["there is none", [undefined], "away"],
  ["it is killed, and there is no other one", [dying(), undefined], "away"],
] as const)("%s", async (_name, children, outcome) => {
  expect(await reloadEngine(successors(...children), { current: snapshot, clock: createManualClock() })).toBe(outcome);
});

test("an engine that never answers is killed, and the next one is told", async () => {
  const clock = createManualClock();
  const hanging = createPuppet(1);
  const outcome = reloadEngine(successors(hanging, answering("applied")), { current: snapshot, clock });
  await clock.advance(119_999);
  expect(hanging.isKilled).toBe(false);
  await clock.advance(1);
  expect([hanging.isKilled, await outcome, clock.sleeping]).toStrictEqual([true, "applied", 0]);
});
