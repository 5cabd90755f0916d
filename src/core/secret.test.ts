import { inspect } from "node:util";
import { expect, it } from "vitest";
import { Secret } from "./secret.ts";

it("comes out only when asked", () => {
  const secret = new Secret("hunter2");
  const printed = [
    secret.toString(),
    String(secret),
    JSON.stringify({ secret }),
    inspect({ secret }, { showHidden: true }),
    Object.values(secret).join(""),
  ];
  expect(printed.join(" ")).not.toContain("hunter2");
  expect(secret.reveal()).toBe("hunter2");
});
