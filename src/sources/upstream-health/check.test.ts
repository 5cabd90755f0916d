import { expect, test } from "vitest";
import { SluiceError } from "../../core/errors.ts";
import type { HttpClient, HttpRequest } from "../../net/http.ts";
import { createManualClock } from "../../../test/support/manual-clock.ts";
import { type Check, checkUrl, createCheck } from "./check.ts";

const url = new URL("https://proxy.example.com/sumdb/sum.golang.org/supported");
const never = new AbortController().signal;

function open(get: (request: HttpRequest) => Promise<number>) {
  const clock = createManualClock();
  let discarded = 0;
  const http: HttpClient = {
    get: async (request) => ({
      status: await get(request),
      headers: {},
      url: request.url,
      size: 0,
      body: (async function* () {})(),
      discard: () => void (discarded += 1),
    }),
    close: async () => undefined,
  };
  const check: Check = createCheck({ name: "https://proxy.example.com", url, http, clock });
  return { clock, check, discarded: () => discarded };
}

test.each([200, 302, 404, 401, 429])("an upstream that answers %i is alive", async (status) => {
  const { check, discarded } = open(async () => status);
  expect([await check(never), discarded()]).toEqual(["alive", 1]);
});

test.each([500, 502, 503])("one that answers %i is not", async (status) => {
  const { check } = open(async () => status);
  expect(await check(never)).toMatchObject({ code: "upstream_failed", details: { status } });
});

test("nor is one that cannot be reached", async () => {
  const error = new SluiceError("upstream_failed", "refused the connection");
  expect(await open(() => Promise.reject(error)).check(never)).toBe(error);
});

test("nor one that does not answer in time", async () => {
  const { clock, check } = open(
    ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))),
  );
  const outcome = check(never);
  await clock.advance(5000);
  expect(await outcome).toMatchObject({
    code: "upstream_timeout",
    message: "https://proxy.example.com: did not answer a check within 5 s",
  });
});

test("what is not sent says nothing, and no timer is left", async () => {
  const { clock, check } = open(() => Promise.reject(new SluiceError("cancelled", "closed")));
  expect([await check(never), clock.sleeping]).toEqual(["unknown", 0]);
});

test.each([
  ["https://proxy.example.com", "healthz", "https://proxy.example.com/healthz"],
  ["https://proxy.example.com/go/?key=1", "/a/b", "https://proxy.example.com/go/a/b?key=1"],
])("below %s, %s is %s", (base, path, expected) => {
  expect(checkUrl(new URL(base), path).href).toBe(expected);
});
