import { describe, expect, it } from "vitest";
import { parseNetrc } from "./netrc.ts";

const files: readonly (readonly [what: string, text: string, entries: readonly string[]])[] = [
  ["one line", "machine a.example login me password pw", ["a.example me pw"]],
  ["several lines", "machine a.example\nlogin me\n\tpassword pw\r\n", ["a.example me pw"]],
  ["password first", "machine a.example password pw login me", ["a.example me pw"]],
  ["a port in the name", "machine a.example:8443 login me password pw", ["a.example:8443 me pw"]],
  ["incomplete", "machine a.example login me\nmachine b.example login you password pw", ["b.example you pw"]],
  [
    "a macro",
    "machine a.example login me\nmacdef init\ncd /x\nmachine no.example login no password no\n\npassword pw",
    ["a.example me pw"],
  ],
  // As go has it: words that are no pair are passed over, and what follows `default` on its line too.
  ["default", "default login anon password x\nmachine a.example login me password pw", ["a.example me pw"]],
  ["nothing", "", []],
];

describe("entries are those that go reads", () => {
  it.each(files)("%s", (_what, text, entries) => {
    expect(parseNetrc(text).map((entry) => `${entry.machine} ${entry.login} ${entry.password.reveal()}`)).toEqual(
      entries,
    );
  });
});
