import { expect, it } from "vitest";
import { formatStatus } from "./status.ts";

const status: Parameters<typeof formatStatus>[0] = {
  version: "1.2.3",
  url: "http://127.0.0.1:3000",
  uptimeSeconds: 0,
  isOffline: false,
  isDraining: false,
  chain: "https://a.example,direct",
  fetching: 2,
  parts: [
    { part: "store /data", state: "ok", detail: "can be read and written", isNeeded: true },
    { part: "upstream https://a.example", state: "degraded", detail: "slow", isNeeded: false },
  ],
  incidents: { open: [], ended: [] },
};

it("reads as a table", () => {
  expect(formatStatus(status)).toBe(`Sluice 1.2.3 at http://127.0.0.1:3000

  state     serving
  offline   no
  up for    0 s
  chain     https://a.example,direct
  fetching  2

Parts
  ok        store /data                 can be read and written
  degraded  upstream https://a.example  slow
`);
});

it.each([
  [59, "59 s"],
  [61, "1 min 1 s"],
  [3600, "1 h 0 min"],
  [90_061, "1 d 1 h"],
])("tells %d seconds as %s", (uptimeSeconds, text) => {
  expect(formatStatus({ ...status, uptimeSeconds })).toContain(`up for    ${text}\n`);
});

it("says first why it should get no traffic", () => {
  expect(formatStatus({ ...status, isDraining: true })).toContain("state     not ready: this node is shutting down\n");
});

it("shows what is wrong, what is done about it, and what ended", () => {
  const incident = {
    rule: "bucket-down",
    subject: "s3://modules",
    seen: "no answer",
    did: "the disk answers",
    openedAt: Date.UTC(2026, 0, 2),
    signs: 3,
  };
  const ended = { ...incident, outcome: "healed", how: "it answers", durationMs: 61_000 };
  expect(formatStatus({ ...status, incidents: { open: [incident], ended: [ended] } })).toContain(`
Incidents that are open (see docs/runbook.md)
  bucket-down  2026-01-02T00:00:00.000Z  s3://modules: no answer
      what Sluice does: the disk answers

Incidents that ended, the last first
  bucket-down  healed after 1 min 1 s  s3://modules: it answers
`);
});
