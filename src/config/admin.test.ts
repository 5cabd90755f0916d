import { describe, expect, it } from "vitest";
import { load, type Input } from "../../test/support/config.ts";

const token = "correct-horse-battery";
const file = (line: string): string => `[admin]\n${line}`;

describe("the admin token", () => {
  it.each([
    [{}, undefined],
    [{ env: { SLUICE_ADMIN_TOKEN: token } }, token],
    [{ file: file('token_env = "T"'), env: { T: token, SLUICE_ADMIN_TOKEN: "another-of-sixteen" } }, token],
    [{ file: file('token_file = "../t"'), files: { "/srv/app/t": `${token}\r\n` } }, token],
    [{ env: { SLUICE_ADMIN_TOKEN_FILE: "t" }, files: { "/srv/app/t": token } }, token],
  ] satisfies [Input, string | undefined][])("%j", (input, expected) => {
    expect(load(input).config.adminToken?.reveal()).toBe(expected);
  });

  it.each([
    [
      { file: file('token_env = "T"\ntoken_file = "t"') },
      "conf/sluice.toml:2: [admin] token_env stands beside token_file; keep one of them",
    ],
    [
      { file: file('token_env = "T"') },
      "conf/sluice.toml:2: [admin] token_env names an environment variable that is not set",
    ],
    [
      { file: file('token_file = "/t"') },
      'conf/sluice.toml:2: [admin] token_file = "/t" does not exist; check the path',
    ],
    [
      { file: file('token_file = "/t"'), files: { "/t": "hunter2\n" } },
      'conf/sluice.toml:2: [admin] token_file = "/t" holds a token of less than 16 characters, which can be guessed; make one with `openssl rand -hex 32`',
    ],
    [
      { env: { SLUICE_ADMIN_TOKEN: "hunter2 hunter2 hunter2" } },
      "SLUICE_ADMIN_TOKEN holds a token with blanks or characters outside of ASCII; make one with `openssl rand -hex 32`",
    ],
    [{ file: file('token = "hunter2"') }, "conf/sluice.toml:2: [admin] has no token; did you mean token_file?"],
  ] satisfies [Input, string][])("%j gets one sentence, without the token", (input, message) => {
    expect(() => load(input)).toThrow(expect.objectContaining({ code: "config_invalid", message }));
    expect(message).not.toContain("hunter2");
  });
});
