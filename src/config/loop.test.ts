import { describe, expect, it } from "vitest";
import { findLoop, refuseLoop, type Machine } from "./loop.ts";
import { load } from "../../test/support/config.ts";

const machine: Machine = {
  addresses: ["127.0.0.1", "::1", "10.1.2.3", "fe80::1%eth0"],
  lookup: async (hostname) => names[hostname] ?? [],
};
const names: Readonly<Record<string, readonly string[]>> = {
  localhost: ["::1", "127.0.0.1"],
  "build-host": ["10.1.2.3"],
  "proxy.example.com": ["192.0.2.7"],
};

describe("findLoop", () => {
  it.each([
    ["127.0.0.1", "http://127.0.0.1:3000"],
    ["127.0.0.1", "http://127.0.0.1:3000/other/path"],
    ["127.0.0.1", "http://localhost:3000"],
    ["localhost", "http://127.0.0.1:3000"],
    ["127.0.0.1", "http://0.0.0.0:3000"],
    ["127.0.0.1", "http://[::ffff:127.0.0.1]:3000"],
    ["127.0.0.1", "https://127.0.0.1:3000"],
    ["::1", "http://[0:0:0:0:0:0:0:1]:3000"],
    ["", "http://127.0.0.1:3000"],
    ["", "http://build-host:3000"],
    ["0.0.0.0", "http://10.1.2.3:3000"],
    ["::", "http://[fe80::1]:3000"],
    ["10.1.2.3", "http://build-host:3000"],
  ])("listening on %j, %s leads back", async (host, upstream) => {
    const url = new URL(upstream);
    await expect(findLoop({ host, port: 3000 }, [new URL("https://proxy.example.com"), url], machine)).resolves.toBe(
      url,
    );
  });

  it.each([
    ["127.0.0.1", 3000, "http://127.0.0.1:3001"],
    ["127.0.0.1", 3000, "http://127.0.0.1"],
    ["127.0.0.1", 3000, "http://10.1.2.3:3000"],
    ["127.0.0.1", 3000, "http://127.0.0.2:3000"],
    ["", 3000, "http://proxy.example.com:3000"],
    ["", 3000, "http://no-such-name:3000"],
    ["", 0, "http://127.0.0.1:3000"],
  ])("listening on %j port %d, %s does not", async (host, port, upstream) => {
    await expect(findLoop({ host, port }, [new URL(upstream)], machine)).resolves.toBeUndefined();
  });

  it("knows the ports that URLs leave out", async () => {
    const [http, https] = [new URL("http://localhost"), new URL("https://localhost")];
    await expect(findLoop({ host: "", port: 80 }, [https, http], machine)).resolves.toBe(http);
    await expect(findLoop({ host: "", port: 443 }, [http, https], machine)).resolves.toBe(https);
  });
});

describe("refuseLoop", () => {
  it.each([
    [
      { env: { GOPROXY: "http://user:hunter2@127.0.0.1:3000,direct" } },
      "GOPROXY=http://127.0.0.1:3000 in this shell points at Sluice itself; start it with SLUICE_UPSTREAM_CHAIN=https://… (where it is to fetch from), or unset GOPROXY",
    ],
    [
      { env: { SLUICE_UPSTREAM_CHAIN: "https://proxy.example.com|http://localhost:3000" } },
      "SLUICE_UPSTREAM_CHAIN points at Sluice itself with http://localhost:3000; take that entry out of it",
    ],
    [
      { flags: { chain: "http://localhost:3000" } },
      "--chain points at Sluice itself with http://localhost:3000; take that entry out of it",
    ],
    [
      { file: '[upstream]\nchain = "http://localhost:3000"' },
      "conf/sluice.toml:2: [upstream] chain points at Sluice itself with http://localhost:3000; take that entry out of it",
    ],
  ])("%j", async (input, sentence) => {
    await expect(refuseLoop(load(input), machine)).rejects.toMatchObject({ code: "config_invalid", message: sentence });
  });

  it.each([
    { env: { GOPROXY: "https://proxy.example.com" } },
    { env: { GOPROXY: "off" } },
    { env: { GOPROXY: "file:///srv/modules" } },
  ])("%j is fine", async (input) => {
    await expect(refuseLoop(load(input), machine)).resolves.toBeUndefined();
  });
});
