import { expect, test } from "vitest";
import { isLostConnection, isLostStatement, isLostWrite } from "./lost-write.ts";

function thrown(stack: string): TypeError {
  return Object.assign(new TypeError("Cannot read properties of null (reading 'write')"), { stack });
}

test("only the library's own write to a lost connection is passed over", () => {
  const place = "(file:///srv/node_modules/postgres/src/connection.js:255:22)";
  expect(
    isLostWrite(thrown(`TypeError: …\n    at Immediate.nextWrite ${place}\n    at process.processImmediate`)),
  ).toBe(true);
  expect(isLostWrite(thrown(`TypeError: …\n    at nextWrite ${place}`))).toBe(false);
  expect(
    isLostWrite(thrown("TypeError: …\n    at Immediate.nextWrite (file:///srv/src/other/connection.js:1:1)")),
  ).toBe(false);
  expect(isLostWrite(new Error("nextWrite"))).toBe(false);
});

test("a statement whose connection went away says so", () => {
  expect(isLostConnection(Object.assign(new Error("write CONNECTION_CLOSED"), { code: "CONNECTION_CLOSED" }))).toBe(
    true,
  );
  expect(isLostConnection(Object.assign(new Error("duplicate key"), { code: "23505" }))).toBe(false);
});

test("only a statement of the library's that lost its connection is passed over where nobody waits for it", () => {
  const lost = (facts: object): Error => Object.assign(new Error("read ECONNRESET"), facts);
  expect(isLostStatement(lost({ code: "CONNECTION_DESTROYED", query: "select 1" }))).toBe(true);
  expect(isLostStatement(lost({ code: "ECONNRESET", query: undefined }))).toBe(true);
  expect(isLostStatement(lost({ code: "ECONNRESET" }))).toBe(false);
  expect(isLostStatement(lost({ code: "23505", query: "insert" }))).toBe(false);
});
