import { expect, it } from "vitest";
import { parseToml } from "./file.ts";

it("tells the line of keys, tables and lists of tables", () => {
  const { lineOf } = parseToml(
    [
      "# comment",
      "server.listen = 'x'",
      "",
      "[store]",
      '  "data_dir" = "x" # = y',
      "[[upstream.override]]",
      "url = 'a'",
      "[[ upstream . override ]]",
      "url = 'b'",
    ].join("\n"),
  );
  const paths = [
    "server.listen",
    "store",
    "store.data_dir",
    "upstream.override.0",
    "upstream.override.0.url",
    "upstream.override.1.url",
  ];
  expect(paths.map(lineOf)).toStrictEqual([2, 4, 5, 6, 7, 9]);
  expect(lineOf("store.memory")).toBeUndefined();
});

it("reads files as Windows writes them", () => {
  const { table, lineOf } = parseToml('\uFEFF[server]\r\nlisten = ":1"\r\n');
  expect(table).toEqual({ server: { listen: ":1" } });
  expect(lineOf("server.listen")).toBe(2);
});

it("does not quote a file that cannot be read", () => {
  expect(() => parseToml('[a]\npassword = "hunter2\n')).toThrow(
    expect.objectContaining({ line: 2, message: expect.not.stringContaining("hunter2") }),
  );
});

it("refuses keys that would change objects", () => {
  expect(() => parseToml("[__proto__]\nx = 1\n")).toThrow(/__proto__|unsafe/i);
});
