import { expect, it } from "vitest";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { recordEvents } from "../../../test/support/recorded-events.ts";
import { SluiceError } from "../../core/errors.ts";
import { type FileRequest, parseRequest } from "../../protocol/goproxy/index.ts";
import { isFileRequest } from "../layout.ts";
import { Healer } from "./healer.ts";

const minute = 60_000;
const key = "example.com/a/@v/v1.0.0.zip";

it("tries again, less and less often, and tells how long it took", async () => {
  const clock = createManualClock();
  const events = recordEvents();
  let attempts = 0;
  const heal = (): Promise<void> =>
    ++attempts < 4 ? Promise.reject(new SluiceError("upstream_failed", "it is down")) : Promise.resolve();
  const healer = new Healer({ heal, clock, events });
  healer.add(requestFor(key));
  // The same once more is no more work.
  healer.add(requestFor(key));
  await clock.advance(0);
  expect(events.of("file_healed")).toMatchObject([{ key, outcome: "upstream_failed", reason: "it is down" }]);
  await clock.advance(1 * minute);
  await clock.advance(2 * minute);
  expect(attempts).toBe(3);
  await clock.advance(4 * minute);
  expect(events.of("file_healed").at(-1)).toEqual({
    type: "file_healed",
    key,
    outcome: "healed",
    durationMs: 7 * minute,
  });
  await clock.advance(60 * minute);
  expect(attempts).toBe(4);
  await healer.close();
});

it("gives up after a week, and leaves it to whoever asks", async () => {
  const clock = createManualClock();
  let attempts = 0;
  const heal = (): Promise<void> => {
    attempts += 1;
    return Promise.reject(new SluiceError("upstream_failed", "it is down"));
  };
  const healer = new Healer({ heal, clock, events: recordEvents() });
  healer.add(requestFor(key));
  await clock.advance(8 * 24 * 60 * minute);
  const before = attempts;
  await clock.advance(24 * 60 * minute);
  expect(attempts).toBe(before);
  expect(clock.sleeping).toBe(0);
  await healer.close();
});

it("works on one file at a time, and ends in the middle of its work", async () => {
  const clock = createManualClock();
  let [running, most] = [0, 0];
  const heal = async (_request: FileRequest, signal: AbortSignal): Promise<void> => {
    most = Math.max(most, ++running);
    await clock.sleep(1000, signal).finally(() => (running -= 1));
  };
  const events = recordEvents();
  const healer = new Healer({ heal, clock, events });
  for (const name of ["a", "b", "c"]) healer.add(requestFor(`example.com/${name}/@v/v1.0.0.mod`));
  await clock.advance(1500);
  expect(most).toBe(1);
  await healer.close();
  expect(events.of("file_healed")).toHaveLength(1);
  expect(clock.sleeping).toBe(0);
});

function requestFor(name: string): FileRequest {
  const request = parseRequest(`/${name}`);
  if (!isFileRequest(request)) throw new Error(`${name} is no file of a version`);
  return request;
}
