import * as fc from "fast-check";
import { expect, test } from "vitest";
import { matchPrefixPatterns } from "./index.ts";

// SPEC §10.1, 7
test.each([
  { globs: "*/quote", target: "rsc.io/quote", matches: true },
  { globs: "*/quo", target: "rsc.io/quote", matches: false },
  { globs: "*/quo??", target: "rsc.io/quote", matches: true },
  { globs: "*/quo*", target: "rsc.io/quote", matches: true },
  { globs: "*quo*", target: "rsc.io/quote", matches: false },
  { globs: "rsc.io", target: "rsc.io/quote", matches: true },
  { globs: "rsc.io/", target: "rsc.io/quote", matches: true },
  { globs: "rsc.io//", target: "rsc.io/quote", matches: false },
  { globs: "rsc", target: "rsc.io/quote", matches: false },
  { globs: "rsc*", target: "rsc.io/quote", matches: true },
  { globs: "/", target: "rsc.io/quote", matches: false },
  { globs: "*/*/*", target: "rsc.io/quote", matches: false },
  { globs: ",,*/quote", target: "rsc.io/quote", matches: true },
  { globs: ",,*/quote,,", target: "rsc.io/quote", matches: true },
  { globs: "example.com,rsc.io/q*", target: "rsc.io/quote", matches: true },
  { globs: "example.com, rsc.io", target: "rsc.io/quote", matches: false },
  { globs: "[bad,rsc.io", target: "rsc.io/quote", matches: true },
  { globs: "[bad", target: "[bad", matches: false },
  { globs: "RSC.io", target: "rsc.io/quote", matches: false },
  { globs: "rsc\\.io", target: "rsc.io/quote", matches: true },
  { globs: "", target: "rsc.io/quote", matches: false },
  { globs: "*", target: "", matches: true },
  { globs: "rsc.io", target: "rsc.io/quote/v3", matches: true },
  { globs: "*/v3", target: "rsc.io/quote/v3", matches: false },
  { globs: "*/*/v3", target: "rsc.io/quote/v3", matches: true },
  { globs: "*/quote/*/", target: "rsc.io/quote/v3", matches: true },
])("$globs on $target: $matches", ({ globs, target, matches }) => {
  expect(matchPrefixPatterns(globs, target)).toBe(matches);
});

test("no text makes it throw", () => {
  const unit = fc.oneof(fc.constantFrom(...Array.from("*?[]^-\\/,a.")), fc.string({ unit: "binary", maxLength: 1 }));
  fc.assert(
    fc.property(fc.string({ unit }), fc.string({ unit }), (globs, target) => {
      expect(typeof matchPrefixPatterns(globs, target)).toBe("boolean");
    }),
    { numRuns: 1000 },
  );
});

test("a target without special characters is matched by each of its prefixes of whole elements and by no other prefix", () => {
  const element = fc.stringMatching(/^[a-z0-9.]{1,4}$/);
  fc.assert(
    fc.property(fc.array(element, { minLength: 1, maxLength: 4 }), fc.nat(), (elements, position) => {
      const target = elements.join("/");
      const prefix = target.slice(0, 1 + (position % target.length));
      const isWhole = `${target}/`.startsWith(`${prefix.replace(/\/$/, "")}/`);
      expect(matchPrefixPatterns(prefix, target)).toBe(isWhole);
    }),
  );
});
