import { parseChain } from "../../src/sources/chain-spec.ts";
import { createChain } from "../../src/sources/chain.ts";
import { createPrivateRules } from "../../src/sources/private.ts";
import { startFixtureUpstream } from "../support/fixture-upstream.ts";
import { openUpstream } from "../support/source-harness.ts";
import { describeSource } from "../suites/source.ts";

describeSource("HTTP upstream", async (modules) => {
  const upstream = await startFixtureUpstream({ modules });
  const opened = openUpstream(upstream.url);
  return {
    source: opened.source,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
});

describeSource("chain of one", async (modules) => {
  const upstream = await startFixtureUpstream({ modules });
  const opened = openUpstream(upstream.url);
  return {
    source: createChain({
      entries: parseChain(upstream.url),
      privateRules: createPrivateRules("*.corp.example"),
      open: () => opened.source,
    }),
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]();
      await upstream.close();
    },
  };
});
