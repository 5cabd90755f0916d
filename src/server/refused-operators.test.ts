import { expect, test } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { recordEvents } from "../../test/support/recorded-events.ts";
import { createRefusedOperators } from "./refused-operators.ts";

test("the first one is told at once, and those who follow together", async () => {
  const [clock, recorded] = [createManualClock(), recordEvents()];
  const refused = createRefusedOperators({ clock, events: recorded });
  for (let guess = 0; guess < 5; guess += 1) refused("10.1.1.1", "a wrong token");
  await clock.advance(10_000);
  refused("10.1.1.2", "no token");
  refused("10.1.1.3", "no token");
  const told = recorded.of("operator_refused").filter(({ isNews }) => isNews);
  expect(recorded.of("operator_refused")).toHaveLength(7);
  expect(told).toMatchObject([
    { client: "10.1.1.1", shown: "a wrong token", count: 1 },
    { client: "10.1.1.2", shown: "no token", count: 5 },
  ]);
});
