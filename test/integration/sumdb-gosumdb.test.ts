import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { generateKey, parseGosumdb } from "../../src/protocol/sumdb/index.ts";
import { type FixtureUpstream, startFixtureUpstream } from "../support/fixture-upstream.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { lacks } from "../support/needs.ts";

const golangKey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const keyOf = (name: string): string => generateKey(name, new Uint8Array(32)).verifierKey;

describe.skipIf(lacks("go", ["version"]))("the go command reads GOSUMDB the same", () => {
  let machine: GoMachine;
  let upstream: FixtureUpstream;

  beforeAll(async () => {
    upstream = await startFixtureUpstream();
    // No name is asked directly: that would leave the machine.
    upstream.setFault(/supported$/, { kind: "status", status: 500 });
    machine = await createGoMachine({ GOPROXY: upstream.url });
    await machine.go(["mod", "init", "example.com/main"]);
  });

  afterAll(async () => {
    await machine.remove();
    await upstream.close();
  });

  async function goSays(gosumdb: string): Promise<string> {
    const { stderr } = await machine.go(["mod", "download", "example.com/leaf@v1.2.0"], { GOSUMDB: gosumdb });
    return stderr;
  }

  test.each([
    "sum.golang.org",
    golangKey,
    keyOf("corp.example"),
    ` ${keyOf("corp.example/go")}\t`,
    keyOf("localhost:8080"),
    keyOf("corp.example/a-b_c.d~e"),
  ])("%j, and asks its proxy for that name", async (gosumdb) => {
    upstream.requests.length = 0;
    expect(await goSays(gosumdb)).toContain("500 Internal Server Error");
    const setting = parseGosumdb(gosumdb);
    const name = setting.kind === "database" ? setting.name : "";
    expect(upstream.requestsFor(/supported$/).map(({ path }) => path)).toEqual([`sumdb/${name}/supported`]);
  });

  test("a key and a URL, which it asks past its proxy", async () => {
    upstream.requests.length = 0;
    const gosumdb = `${keyOf("corp.example")} ${upstream.url}/log/`;
    expect(await goSays(gosumdb)).toContain("404 Not Found");
    expect(parseGosumdb(gosumdb)).toMatchObject({ url: `${upstream.url}/log` });
    expect(upstream.requestsFor(/sumdb|log/).map(({ path }) => path)).toEqual(["log/lookup/example.com/leaf@v1.2.0"]);
  });

  test.each([
    " ",
    "sum.golang.org https://127.0.0.1 https://127.0.0.1",
    "sum.example.com",
    "OFF",
    golangKey.replace("033de0ae", "033de0af"),
    golangKey.slice(0, -1),
    keyOf("corp.example/"),
    keyOf("/corp.example"),
    keyOf("user@corp.example"),
    keyOf("corp.example?x"),
    keyOf("corp.example#x"),
    keyOf("corp.example/%2e"),
    keyOf("corp.example/a|b"),
    keyOf("corp.example/é"),
  ])("%j, and refuses it in the same words", async (gosumdb) => {
    const theirs = await goSays(gosumdb);
    expect(theirs).toMatch(/missing GOSUMDB|invalid GOSUMDB|invalid sumdb name/);
    // Go goes on with its own notation of the name.
    const [ours] = refusal(gosumdb).split(': "');
    expect(theirs).toContain(ours);
  });
});

function refusal(gosumdb: string): string {
  try {
    parseGosumdb(gosumdb);
  } catch (error) {
    if (error instanceof Error) return error.message;
  }
  throw new Error(`${JSON.stringify(gosumdb)} is not refused`);
}
