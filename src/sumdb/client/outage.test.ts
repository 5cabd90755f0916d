import { describe, expect, it } from "vitest";
import { SluiceError } from "../../core/errors.ts";
import { createOutage } from "./outage.ts";

const refused = new SluiceError("upstream_failed", "sum.example.com: refused the connection.");

function createBroken() {
  let now = 0;
  const outage = createOutage({ now: () => now });
  for (let times = 0; times < 4; times++) outage.failed(refused);
  return {
    outage,
    advance: (ms: number) => {
      now += ms;
    },
  };
}

describe("an outage", () => {
  it("begins with the fourth failure in a row, and every asker is told the reason and when to come back", () => {
    let now = 0;
    const outage = createOutage({ now: () => now });
    for (let times = 0; times < 3; times++) outage.failed(refused);
    outage.answered();
    for (let times = 0; times < 3; times++) outage.failed(refused);
    expect([outage.enter(), outage.isResting]).toEqual(["open", false]);
    outage.failed(refused);
    now += 400;
    expect(() => outage.enter()).toThrow(
      expect.objectContaining({
        code: "upstream_failed",
        message: "sum.example.com: refused the connection (and is not asked again for some seconds)",
        retryAfterSeconds: 1,
      }),
    );
  });

  it("is not longer because the clock was set back meanwhile", () => {
    const { outage, advance } = createBroken();
    expect(outage.isResting).toBe(true);
    advance(-24 * 3_600_000);
    expect([outage.isResting, outage.enter()]).toEqual([false, "trial"]);
    expect(outage.isResting).toBe(true);
  });

  it("lets one asker try after a while, and the others only when that one had an answer", () => {
    const { outage, advance } = createBroken();
    advance(15_001);
    expect(outage.enter()).toBe("trial");
    expect(() => outage.enter()).toThrow(SluiceError);
    outage.answered();
    expect(outage.enter()).toBe("open");
  });

  it("goes on when the trial fails", () => {
    const { outage, advance } = createBroken();
    advance(15_001);
    outage.enter();
    outage.failed(refused);
    expect(() => outage.enter()).toThrow(SluiceError);
  });

  it("is looked at again after a second, and less and less often: a short one costs little, a long one few trials", () => {
    const { outage, advance } = createBroken();
    const restMs = (): number => {
      for (let ms = 0; ; ms += 500) {
        if (!outage.isResting) return ms;
        advance(500);
      }
    };
    const rests: number[] = [];
    for (let trial = 0; trial < 6; trial++) {
      rests.push(restMs());
      expect(outage.enter()).toBe("trial");
      outage.failed(refused);
    }
    expect(rests).toEqual([1000, 2000, 4000, 8000, 15_000, 15_000]);
    outage.answered();
    for (let times = 0; times < 4; times++) outage.failed(refused);
    expect(restMs()).toBe(1000);
  });

  it("is no longer for requests that were under way when it began", () => {
    const { outage, advance } = createBroken();
    for (let times = 0; times < 30; times++) outage.failed(refused);
    advance(1001);
    expect(outage.enter()).toBe("trial");
  });

  it("lets nobody else try while a trial takes its time", () => {
    const { outage, advance } = createBroken();
    advance(1001);
    outage.enter();
    advance(10_000);
    expect(() => outage.enter()).toThrow(SluiceError);
  });

  it("tells who comes during a trial when it is over", async () => {
    const { outage, advance } = createBroken();
    expect(outage.trial).toBeUndefined();
    for (const end of [() => outage.failed(refused), () => outage.endTrial(), () => outage.answered()]) {
      advance(15_001);
      expect(outage.enter()).toBe("trial");
      const { trial } = outage;
      expect(trial).toBeInstanceOf(Promise);
      end();
      await trial;
      expect(outage.trial).toBeUndefined();
    }
  });

  it("is tried by the next one when nothing came of a trial", () => {
    const { outage, advance } = createBroken();
    advance(1001);
    outage.enter();
    outage.endTrial();
    expect(outage.enter()).toBe("trial");
    outage.failed(refused);
    outage.endTrial();
    expect(() => outage.enter()).toThrow(SluiceError);
  });

  it.each([
    ["an answer, if not a good one", new SluiceError("upstream_failed", "answered 500", { details: { status: 500 } })],
    ["a refusal", new SluiceError("not_found", "answered 404", { details: { status: 404 } })],
  ])("is over with %s", (_, error) => {
    const { outage } = createBroken();
    outage.failed(error);
    expect(outage.enter()).toBe("open");
  });

  it("does not begin because askers go away or we are overloaded", () => {
    const outage = createOutage({ now: () => 0 });
    for (let times = 0; times < 10; times++) {
      outage.failed(new SluiceError("cancelled", "gone"));
      outage.failed(new SluiceError("overloaded", "full"));
      outage.failed(new Error("a bug"));
    }
    expect(outage.enter()).toBe("open");
  });
});
