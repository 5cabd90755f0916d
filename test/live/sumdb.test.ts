import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createEgress } from "../../src/net/egress.ts";
import { loadTrust } from "../../src/net/trust.ts";
import { openNote, parseGosumdb, parseTree, parseVerifierKey } from "../../src/protocol/sumdb/index.ts";
import { parseChain } from "../../src/sources/chain-spec.ts";
import type { LogProxy } from "../../src/sumdb/client/routes.ts";
import { asker, followLog, moduleVersion } from "../support/followed-log.ts";
import { createGoMachine, type GoMachine } from "../support/go.ts";
import { testClient } from "../support/http-client.ts";
import { lacks } from "../support/needs.ts";
import type { FollowedLog } from "../support/open-log.ts";
import { egressEnvironment, machineChain } from "./machine.ts";

const database = "sum.golang.org";
const project = path.join(import.meta.dirname, "projects/kubernetes");
const leastVersions = 200;
/** Asked of the real log by us: go itself has asked for all of them already. */
const asked = 5;

describe.skipIf(lacks("go", ["version"]))("the real checksum database, through this machine's own chain", () => {
  let developer: GoMachine;
  /** `path version` to the lines of go.sum, as the go command has verified them. */
  const golden = new Map<string, string[]>();

  beforeAll(async () => {
    developer = await createGoMachine({
      ...egressEnvironment(),
      GOPROXY: machineChain(),
      GOSUMDB: database,
      GOFLAGS: "-modcacherw -mod=mod",
    });
    await cp(project, developer.dir, { recursive: true });
    const { code, stderr } = await developer.go(["list", "-m", "all"]);
    if (code !== 0) throw new Error(`go list -m all failed:\n${stderr}`);
    const goSum = await readFile(path.join(developer.dir, "go.sum"), "utf8");
    for (const line of goSum.trimEnd().split("\n")) {
      const [modulePath = "", version = ""] = line.split(" ");
      const key = `${modulePath} ${version.replace(/\/go\.mod$/, "")}`;
      golden.set(key, [...(golden.get(key) ?? []), line]);
    }
  }, 600_000);
  afterAll(() => developer.remove());

  test("what go has looked up is proven from go's own cache, and says what go says", async () => {
    const folder = await temporaryFolder();
    await cp(path.join(developer.modCache, "cache/download/sumdb"), path.join(folder, "cache"), { recursive: true });
    const followed = await follow(folder);
    const note = await readFile(path.join(path.dirname(developer.modCache), "gopath/pkg/sumdb", database, "latest"));
    const { text } = openNote(note, [parseVerifierKey(publicKey())]);
    await followed.store.setTree(database, { ...parseTree(text), note }, 0);
    expect(golden.size).toBeGreaterThanOrEqual(leastVersions);
    expect(await unlike(followed, [...golden.keys()])).toEqual([]);
    const lookups = followed.events.of("sum_request").filter(({ kind }) => kind === "lookup");
    expect(lookups).toEqual([]);
    console.log(`${golden.size} records proven, ${followed.events.of("sum_request").length} requests for tiles`);
  });

  test("what we look up says what go says, and is answered without the chain after a restart", async () => {
    const folder = await temporaryFolder();
    const versions = [...golden.keys()].filter((_, index) => index % Math.ceil(golden.size / asked) === 0);
    const online = await follow(folder);
    expect(await unlike(online, versions)).toEqual([]);
    await online.close();
    const offline = await followLog(
      { name: database, verifierKey: publicKey(), url: "http://127.0.0.1:9" },
      { folder, retry: { attempts: 1 } },
    );
    expect(await unlike(offline, versions)).toEqual([]);
    expect(offline.events.of("sum_request")).toEqual([]);
  });

  /** Versions whose record has not the lines that go has. */
  async function unlike(followed: FollowedLog, versions: readonly string[]): Promise<string[]> {
    const records = await Promise.all(
      versions.map(async (key) => {
        const [modulePath = "", version = ""] = key.split(" ");
        return { key, record: await followed.log.lookup(...moduleVersion(modulePath, version), asker()) };
      }),
    );
    const differs = ({ key, record }: (typeof records)[number]): boolean =>
      (golden.get(key) ?? []).some((line) => !record.text.split("\n").includes(line));
    return records.filter(differs).map(({ key }) => key);
  }
});

function follow(folder: string): Promise<FollowedLog> {
  const client = { ca: loadTrust({ env: process.env }).certificates, egress: createEgress(process.env) };
  const entries = parseChain(machineChain());
  const proxies = entries.flatMap((entry): LogProxy[] =>
    entry.kind === "http" ? [{ ...entry, http: testClient(client) }] : [],
  );
  const endsDirect = entries.at(-1)?.name === "direct";
  const retry = { attempts: 4 };
  const verifierKey = publicKey();
  return followLog(
    { name: database, verifierKey, url: `https://${database}` },
    { folder, client, proxies, endsDirect, retry },
  );
}

function publicKey(): string {
  const setting = parseGosumdb(database);
  if (setting.kind === "off") throw new Error("the key of the public database is not known");
  return setting.verifierKey;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), "sluice-live-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
