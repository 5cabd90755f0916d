import { expect, test } from "vitest";
import { type ErrorCode, errorTable, SluiceError } from "../core/errors.ts";
import { answerError } from "./error-answer.ts";

const codes = Object.keys(errorTable).filter((code): code is ErrorCode => code in errorTable);

test.each(codes)("%s is answered by the table, as text that names the request", (code) => {
  const { status, headers, body } = answerError(new SluiceError(code, "what happened"), "id-1");
  expect(status).toBe(errorTable[code].status);
  expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
  expect(body).toContain(`(${code}, request id-1)`);
  expect(body.includes("what happened")).toBe(errorTable[code].public);
});

test("only what can pass tells when to come back, and passes on what a source asked for", () => {
  expect(
    answerError(new SluiceError("upstream_failed", "x", { retryAfterSeconds: 7.2 }), "i").headers["retry-after"],
  ).toBe("8");
  expect(answerError(new SluiceError("upstream_timeout", "x"), "i").headers["retry-after"]).toBe("5");
  expect(answerError(new SluiceError("integrity", "x"), "i").headers).not.toHaveProperty("retry-after");
  expect(answerError(new SluiceError("not_found", "x"), "i").headers).not.toHaveProperty("retry-after");
});

test("an unknown error shows nothing of itself", () => {
  const { status, body, error } = answerError(new Error("password=hunter2"), "id-9");
  expect(status).toBe(500);
  expect(body).not.toContain("hunter2");
  expect(body).toContain("id-9");
  expect(error.cause).toBeInstanceOf(Error);
});

test.each([
  ["many lines", Array.from({ length: 30 }, (_, line) => `line ${line}`).join("\n")],
  ["a long line", "x".repeat(5000)],
  ["wide characters", "é☃".repeat(600)],
  ["control characters", "a\u0000b\tc\u001B[31md\u2028e"],
])("go shows the body whole: %s", (_name, message) => {
  const { body } = answerError(new SluiceError("not_found", message), "the-request");
  const lines = body.trimEnd().split("\n");
  expect(lines.length).toBeLessThanOrEqual(8);
  expect(Buffer.byteLength(body)).toBeLessThanOrEqual(648);
  expect(body).not.toMatch(/\n\n/);
  expect(lines.join("")).toMatch(/^[\p{L}\p{M}\p{N}\p{P}\p{S}\p{Zs}]*$/u);
  expect(body).toContain("the-request");
});
