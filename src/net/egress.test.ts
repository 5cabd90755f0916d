import { describe, expect, test } from "vitest";
import { createEgress, type Environment } from "./egress.ts";

const secure = new URL("https://upstream.example/x");
const plain = new URL("http://upstream.example/x");

describe("the proxy for a URL", () => {
  test.each<[name: string, env: Environment, url: URL, proxy: string | undefined]>([
    ["none is set", {}, secure, undefined],
    ["HTTPS_PROXY is for https", { HTTPS_PROXY: "http://p.example:3128" }, secure, "http://p.example:3128/"],
    ["HTTPS_PROXY is not for http", { HTTPS_PROXY: "http://p.example:3128" }, plain, undefined],
    ["HTTP_PROXY is for http", { HTTP_PROXY: "http://p.example:3128" }, plain, "http://p.example:3128/"],
    ["HTTP_PROXY is not for https", { HTTP_PROXY: "http://p.example:3128" }, secure, undefined],
    ["lower case", { https_proxy: "http://p.example:3128" }, secure, "http://p.example:3128/"],
    [
      "upper case first",
      { HTTPS_PROXY: "http://a.example:1", https_proxy: "http://b.example:1" },
      secure,
      "http://a.example:1/",
    ],
    ["empty is unset", { HTTPS_PROXY: "", https_proxy: "http://b.example:1" }, secure, "http://b.example:1/"],
    ["a bare host:port is http", { HTTPS_PROXY: "p.example:3128" }, secure, "http://p.example:3128/"],
    ["a bare address is http", { HTTPS_PROXY: "10.0.0.1:3128" }, secure, "http://10.0.0.1:3128/"],
    ["a proxy that speaks TLS", { HTTPS_PROXY: "https://p.example" }, secure, "https://p.example/"],
    ["SOCKS5", { HTTPS_PROXY: "socks5://p.example:1080" }, secure, "socks5://p.example:1080"],
    ["userinfo is kept", { HTTPS_PROXY: "http://u:p%40ss@p.example:1" }, secure, "http://u:p%40ss@p.example:1/"],
    ["NO_PROXY", { HTTPS_PROXY: "p.example:1", NO_PROXY: "upstream.example" }, secure, undefined],
    ["no_proxy", { HTTPS_PROXY: "p.example:1", no_proxy: ".example" }, secure, undefined],
    [
      "a client of a CGI server sets no proxy",
      { HTTP_PROXY: "evil.example:1", REQUEST_METHOD: "GET" },
      plain,
      undefined,
    ],
    [
      "HTTPS_PROXY can not be set that way",
      { HTTPS_PROXY: "p.example:1", REQUEST_METHOD: "GET" },
      secure,
      "http://p.example:1/",
    ],
  ])("%s", (_name, env, url, proxy) => {
    expect(createEgress(env)(url)?.href).toBe(proxy);
  });
});

test.each([
  ["http://", "is not the address of a proxy"],
  ["http://p.example:notaport", "is not the address of a proxy"],
  ["socks4://p.example:1080", "socks4:"],
  ["http://user:100%@p.example:1", "%25"],
])("HTTPS_PROXY=%s is refused in words", (value, words) => {
  expect(() => createEgress({ HTTPS_PROXY: value })).toThrow(
    expect.objectContaining({ code: "config_invalid", message: expect.stringContaining(words) }),
  );
});

test("the refusal does not show credentials", () => {
  for (const value of ["http://user:hunter2@p.example:notaport", "user:hunter2@p.example:notaport"]) {
    expect(() => createEgress({ HTTPS_PROXY: value })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("hunter2") }),
    );
  }
});
