import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { fixtureFiles } from "../support/fixture-modules.ts";
import { startFixtureUpstream } from "../support/fixture-upstream.ts";
import { ask } from "../support/raw-http.ts";
import { startSluiceProcess } from "../support/sluice.ts";

const key = "example.com/leaf/@v/v1.0.0.zip";

test("a broken file is followed until a good one stands there: in status, metrics and the audit log", async () => {
  const upstream = await startFixtureUpstream({ modules: new Map(fixtureFiles()) });
  onTestFinished(() => upstream.close());
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-healing-"));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  // Nothing is answered from memory.
  const sluice = await startSluiceProcess({ upstream: upstream.url, dataDir, args: ["--memory", "0B"] });
  onTestFinished(() => sluice.stop().then(() => undefined));
  const good = await ask(sluice.url, `/${key}`);
  const file = join(dataDir, "modules", key);
  const bytes = await readFile(file);
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  await writeFile(file, bytes);

  const healed = await ask(sluice.url, `/${key}`);
  expect(healed.status).toBe(200);
  expect(healed.body).toStrictEqual(good.body);

  const token = (await readFile(join(dataDir, "admin.token"), "utf8")).trim();
  const response = await fetch(`${sluice.url}/-/status`, { headers: { authorization: `Bearer ${token}` } });
  const incident = { rule: "corrupt-file", subject: key, outcome: "healed" };
  expect(await response.json()).toMatchObject({ incidents: { open: [], ended: [incident] } });
  const metrics = (await ask(sluice.url, "/metrics")).body.toString();
  expect(metrics).toContain('sluice_incidents_total{rule="corrupt-file",outcome="healed"} 1');
  expect(metrics).toContain('sluice_incidents_open{rule="corrupt-file"} 0');
  expect(metrics).toContain('sluice_recovery_seconds_count{rule="corrupt-file"} 1');

  await sluice.stop();
  const records = (await readFile(join(dataDir, "audit.log"), "utf8")).trim().split("\n");
  expect(records.map((line) => JSON.parse(line))).toMatchObject([
    { event: "incident_opened", rule: "corrupt-file", subject: key, seen: expect.stringContaining("sha256") },
    { event: "incident_ended", ...incident, durationMs: expect.any(Number) },
  ]);
});
