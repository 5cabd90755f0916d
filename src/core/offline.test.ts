import { expect, test } from "vitest";
import { OfflineSwitch } from "./offline.ts";

const signal = new AbortController().signal;

test("online, work is done", async () => {
  expect(await new OfflineSwitch(false).run("a host", signal, async () => "done")).toBe("done");
});

test("offline, work is refused before it begins", async () => {
  const refused = new OfflineSwitch(true).run("a host", signal, () => expect.unreachable());
  await expect(refused).rejects.toMatchObject({ code: "offline", message: expect.stringContaining("a host") });
});

test("who waits for others when it goes offline waits no longer", async () => {
  const offline = new OfflineSwitch(false);
  const waiting = offline.run("a host", signal, untilAborted);
  offline.turn(true);
  await expect(waiting).rejects.toMatchObject({ code: "offline" });
});

test("work that fails for another reason says so", async () => {
  const failing = new OfflineSwitch(false).run("a host", signal, () => Promise.reject(new TypeError("a bug")));
  await expect(failing).rejects.toThrow("a bug");
});

test("turning tells once, and only what changes", () => {
  const offline = new OfflineSwitch(false);
  const told: boolean[] = [];
  const forget = offline.onTurn((isOffline) => told.push(isOffline));
  expect([offline.turn(false), offline.turn(true), offline.turn(true), offline.turn(false)]).toEqual([
    false,
    true,
    false,
    true,
  ]);
  forget();
  offline.turn(true);
  expect(told).toEqual([true, false]);
});

function untilAborted(ended: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    ended.addEventListener("abort", () => reject(ended.reason));
  });
}
