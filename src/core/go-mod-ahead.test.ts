import { expect, it } from "vitest";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { parseModulePath, parseVersion } from "../protocol/module/index.ts";
import { GoModAhead } from "./go-mod-ahead.ts";

function open(isMeant: (modulePath: string) => boolean = () => true) {
  const clock = createManualClock();
  return { clock, ahead: new GoModAhead({ clock, isMeant }) };
}

function subject(module: string, version: string) {
  return { modulePath: parseModulePath(module), version: parseVersion(version) };
}

it("fetches what is meant, once for a version, however often it is asked for", async () => {
  const { ahead } = open((modulePath) => modulePath.startsWith("example.com/"));
  const fetched: string[] = [];
  const ask = (module: string): Promise<void> =>
    ahead.run(subject(module, "v1.0.0"), async () => void fetched.push(module));
  await Promise.all(["example.com/a", "git.corp/a", "example.com/a", "example.com/b"].map(ask));
  expect(fetched).toEqual(["example.com/a", "example.com/b"]);
});

it("leaves the fifth version of a module alone, until a minute has passed since the first", async () => {
  const { clock, ahead } = open();
  const fetched: string[] = [];
  for (const version of ["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0", "v1.5.0", "v1.6.0"]) {
    await ahead.run(subject("example.com/a", version), async () => void fetched.push(version));
    await clock.advance(11_000);
  }
  expect(fetched).toEqual(["v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0", "v1.6.0"]);
});

it("has 32 under way at the most, and a failure makes room as an answer does", async () => {
  const { ahead } = open();
  const begun: ((error?: Error) => void)[] = [];
  const fetch = (): Promise<void> =>
    new Promise((resolve, reject) => begun.push((error) => (error === undefined ? resolve() : reject(error))));
  const runs = Array.from({ length: 40 }, (_, index) => ahead.run(subject(`example.com/m${index}`, "v1.0.0"), fetch));
  expect(begun).toHaveLength(32);
  begun[0]?.();
  begun[1]?.(new Error("not today"));
  await Promise.all(runs.slice(0, 2));
  const more = Array.from({ length: 3 }, (_, index) => ahead.run(subject(`example.com/n${index}`, "v1.0.0"), fetch));
  expect(begun).toHaveLength(34);
  for (const end of begun) end();
  await Promise.all([...runs, ...more]);
});
