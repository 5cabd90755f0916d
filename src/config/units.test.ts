import { describe, expect, it } from "vitest";
import { tryParseDuration, tryParseSize } from "./units.ts";

describe("durations", () => {
  it.each([
    ["250ms", 250],
    ["60s", 60_000],
    ["10m", 600_000],
    ["24h", 86_400_000],
    ["2d", 172_800_000],
    ["0s", 0],
    ["1.5h", 5_400_000],
    ["1m30s", 90_000],
    ["1h2m3s4ms", 3_723_004],
  ])("%s is %d ms", (text, ms) => {
    expect(tryParseDuration(text)).toBe(ms);
  });

  it.each(["", "60", "s", "60 s", "-1s", "1w", "60sec", "1e3s", ".5s", "5S", "1s,2s"])("%j is none", (text) => {
    expect(tryParseDuration(text)).toBeUndefined();
  });
});

describe("sizes", () => {
  it.each([
    ["0B", 0],
    ["8192B", 8192],
    ["512KiB", 524_288],
    ["256MiB", 268_435_456],
    ["1GiB", 1_073_741_824],
    ["1.5GiB", 1_610_612_736],
    ["1TiB", 1_099_511_627_776],
  ])("%s is %d bytes", (text, bytes) => {
    expect(tryParseSize(text)).toBe(bytes);
  });

  it.each(["", "256", "256MB", "256M", "256 MiB", "-1B", "1KiB1B", "mib"])("%j is none", (text) => {
    expect(tryParseSize(text)).toBeUndefined();
  });
});
