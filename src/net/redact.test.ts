import { expect, test } from "vitest";
import { redactHeaders, redactText, redactUrl } from "./redact.ts";

test.each([
  ["https://proxy.example/a@v1", "https://proxy.example/a@v1"],
  ["https://user:pass@proxy.example:8443/x", "https://proxy.example:8443/x"],
  ["https://token@proxy.example/", "https://proxy.example/"],
  ["https://us%40er:p%3Ass@proxy.example/", "https://proxy.example/"],
  ["https://us@er:pass@proxy.example/", "https://proxy.example/"],
  ["https://store.example/zip?X-Amz-Signature=abc&x=1", "https://store.example/zip?***"],
  ["https://store.example/zip?a#frag", "https://store.example/zip?***#frag"],
  ["https://proxy.example/github.com/a/@v/v1.0.0.zip", "https://proxy.example/github.com/a/@v/v1.0.0.zip"],
])("%s is shown as %s", (url, shown) => {
  expect(redactUrl(url)).toBe(shown);
});

test("a URL object is shown the same way", () => {
  expect(redactUrl(new URL("socks5://user:pass@p.example:1080"))).toBe("socks5://p.example:1080");
});

test("all URLs within a text lose their secrets", () => {
  expect(redactText('Get "https://u:p@a.example/x?key=1": proxy http://v:q@b.example:3128, mail me@c.example')).toBe(
    'Get "https://a.example/x?***": proxy http://b.example:3128, mail me@c.example',
  );
});

test("headers that carry secrets are hidden, whatever their case", () => {
  const headers = {
    Authorization: "Basic x",
    "proxy-authorization": "Basic y",
    "Set-Cookie": "a=b",
    "Private-Token": "t",
    "X-Api-Key": "k",
    location: "https://u:p@a.example/?sig=1",
    accept: "*/*",
  };
  expect(redactHeaders(headers)).toEqual({
    Authorization: "***",
    "proxy-authorization": "***",
    "Set-Cookie": "***",
    "Private-Token": "***",
    "X-Api-Key": "***",
    location: "https://a.example/?***",
    accept: "*/*",
  });
});
